#include "bibop/examples/pkgraph/cycles.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/examples/pkgraph/random_index.h"
#include "bibop/gc.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

class CyclesTest : public GraphFixture {
 protected:
  std::vector<std::vector<std::string>> CyclesOf(
      const std::string& text, Follow follow = Follow::kDepends) {
    HandleScope scope(mutator());
    return FindCycles(mutator(), Load(text), follow);
  }
};

TEST_F(CyclesTest, LargestComponentsComeFirst) {
  EXPECT_THAT(CyclesOf(StanzaText("b", "Depends: a\n") +
                       StanzaText("a", "Depends: b, x\n") +
                       StanzaText("x", "Depends: y\n") +
                       StanzaText("y", "Depends: z, w\n") +
                       StanzaText("z", "Depends: x\n") + StanzaText("w")),
              ElementsAre(ElementsAre("x", "y", "z"), ElementsAre("a", "b")));
}

TEST_F(CyclesTest, PackageThatNeedsItselfOnlyIsNoCycle) {
  EXPECT_THAT(CyclesOf(StanzaText("a", "Depends: a, b\n") + StanzaText("b")),
              IsEmpty());
}

TEST_F(CyclesTest, CycleMayGoThroughAVirtualPackage) {
  EXPECT_THAT(CyclesOf(StanzaText("a", "Depends: v\n") +
                       StanzaText("p", "Provides: v\nDepends: a\n")),
              ElementsAre(ElementsAre("a", "p")));
  EXPECT_THAT(CyclesOf(StanzaText("p", "Provides: v\nDepends: v\n")),
              IsEmpty());
}

TEST_F(CyclesTest, RecommendsCountWhenAskedFor) {
  const std::string text =
      StanzaText("a", "Recommends: b\n") + StanzaText("b", "Depends: a\n");
  EXPECT_THAT(CyclesOf(text), IsEmpty());
  EXPECT_THAT(CyclesOf(text, Follow::kDependsAndRecommends),
              ElementsAre(ElementsAre("a", "b")));
}

// A search that recursed would need tens of megabytes of stack for this one.
TEST_F(CyclesTest, OneCycleOfAllPackagesOfALargeIndex) {
  constexpr size_t kPackages = 60'000;
  std::string text;
  for (size_t i = 0; i < kPackages; ++i) {
    text += StanzaText(absl::StrCat("p", i),
                       absl::StrCat("Depends: p", (i + 1) % kPackages, "\n"));
  }
  const std::vector<std::vector<std::string>> cycles = CyclesOf(text);
  ASSERT_EQ(cycles.size(), 1);
  EXPECT_EQ(cycles[0].size(), kPackages);
}

// Every package but the first is left long before its component is known.
// Collections run meanwhile, and cells of what they would lose are used again.
TEST_F(CyclesTest, SearchLosesNothingToCollections) {
  constexpr size_t kPackages = 20'000;
  std::string depends = "Depends: p1";
  std::string text;
  for (size_t i = 1; i < kPackages; ++i) {
    absl::StrAppend(&depends, ", p", i);
    text += StanzaText(absl::StrCat("p", i), "Depends: p0\n");
  }
  text += StanzaText("p0", depends + "\n");
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(text);
  const int64_t cycles = heap().stats().cycles;
  // How many searches that takes depends on how fast the collector's thread is.
  while (heap().stats().cycles < cycles + 6) {
    const std::vector<std::vector<std::string>> found =
        FindCycles(mutator(), graph, Follow::kDepends);
    ASSERT_EQ(found.size(), 1);
    ASSERT_EQ(found[0].size(), kPackages);
    ASSERT_EQ(std::adjacent_find(found[0].begin(), found[0].end()),
              found[0].end());
  }
}

TEST_F(CyclesTest, AgreeWithAnotherAlgorithm) {
  size_t found = 0;
  for (uint32_t seed = 0; seed < 500; ++seed) {
    const RandomIndex index(seed);
    std::vector<std::vector<std::string>> expected;
    for (size_t a = 0; a < index.distance.size(); ++a) {
      std::vector<size_t> component;
      for (size_t b = 0; b < index.distance.size(); ++b) {
        if (index.distance[a][b] < RandomIndex::kUnreachable &&
            index.distance[b][a] < RandomIndex::kUnreachable) {
          component.push_back(b);
        }
      }
      if (component.size() == 1 || component[0] != a) continue;
      std::vector<std::string> names;
      for (size_t b : component) names.push_back(RandomIndex::Name(b));
      std::sort(names.begin(), names.end());
      expected.push_back(names);
    }
    found += expected.size();
    ASSERT_THAT(CyclesOf(index.text), UnorderedElementsAreArray(expected))
        << "seed " << seed;
  }
  EXPECT_GT(found, 100);
}

}  // namespace
}  // namespace bibop::pkgraph
