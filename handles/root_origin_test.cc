#include "bibop/handles/root_origin.h"

#include <source_location>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::source_location kHere = std::source_location::current();
constexpr std::source_location kThere = std::source_location::current();

std::string Line(absl::string_view what, std::source_location place) {
  return absl::StrCat("\n  ", what, " made at ", place.file_name(), ":",
                      place.line());
}

TEST(DescribeRemainingRoots, OneIsNamedAlone) {
  EXPECT_EQ(DescribeRemainingRoots({{false, {"Node", kHere}}}),
            "a heap is destroyed before 1 Persistent, which refers to nothing "
            "from now on:" +
                Line("1 Persistent<Node>", kHere));
  EXPECT_EQ(DescribeRemainingRoots({{true, {"Node", kHere}}}),
            "a heap is destroyed before 1 WeakPersistent, which refers to "
            "nothing from now on:" +
                Line("1 WeakPersistent<Node>", kHere));
}

TEST(DescribeRemainingRoots, EqualOnesAreCountedAndTheMostComeFirst) {
  const std::vector<RemainingRoot> roots = {
      {false, {"Node", kHere}}, {true, {"Node", kThere}},
      {false, {"Leaf", kHere}}, {true, {"Node", kThere}},
      {true, {"Node", kThere}}, {false, {"Leaf", kHere}},
  };
  EXPECT_EQ(DescribeRemainingRoots(roots),
            "a heap is destroyed before 3 Persistents and 3 WeakPersistents, "
            "which refer to nothing from now on:" +
                Line("3 WeakPersistent<Node>", kThere) +
                Line("2 Persistent<Leaf>", kHere) +
                Line("1 Persistent<Node>", kHere));
}

TEST(DescribeRemainingRoots, ThereAreTwentyLinesAndTheRestIsCounted) {
  std::vector<std::string> names;
  names.reserve(22);
  for (int i = 0; i < 22; ++i) names.push_back(absl::StrCat("Type", 100 + i));
  std::vector<RemainingRoot> roots;
  roots.reserve(26);
  for (int i = 0; i < 20; ++i) roots.push_back({false, {names[i], kHere}});
  EXPECT_THAT(DescribeRemainingRoots(roots),
              EndsWith(Line("1 Persistent<Type119>", kHere)));
  for (int i = 0; i < 3; ++i) {
    roots.push_back({false, {names[20], kHere}});
    roots.push_back({false, {names[21], kHere}});
  }
  const std::string text = DescribeRemainingRoots(roots);
  EXPECT_THAT(text, HasSubstr("before 26 Persistents,"));
  EXPECT_THAT(text, HasSubstr("on:" + Line("3 Persistent<Type120>", kHere) +
                              Line("3 Persistent<Type121>", kHere)));
  EXPECT_THAT(text, Not(HasSubstr("Type118")));
  EXPECT_THAT(text, EndsWith("\n  and 2 more"));
}

}  // namespace
}  // namespace bibop
