#include "bibop/examples/pkgraphd/url.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

Target Parsed(std::string_view text) {
  absl::StatusOr<Target> target = ParseTarget(text);
  EXPECT_TRUE(target.ok()) << text << ": " << target.status();
  return target.ok() ? *std::move(target) : Target{};
}

TEST(Url, SplitsThePathAtSlashes) {
  EXPECT_THAT(Parsed("/").path, IsEmpty());
  EXPECT_THAT(Parsed("/package/libc6").path, ElementsAre("package", "libc6"));
  EXPECT_THAT(Parsed("/a/").path, ElementsAre("a", ""));
  EXPECT_THAT(Parsed("//a").path, ElementsAre("", "a"));
  EXPECT_THAT(Parsed("/./..").path, ElementsAre(".", ".."));
}

TEST(Url, DecodesASegmentAfterItHasSplitThePath) {
  EXPECT_THAT(Parsed("/a%2Fb/%67%2b%2B").path, ElementsAre("a/b", "g++"));
  EXPECT_THAT(Parsed("/%00").path, ElementsAre(std::string(1, '\0')));
  EXPECT_THAT(Parsed("/%c3%A9").path, ElementsAre("\xc3\xa9"));
  EXPECT_THAT(Parsed("/%2541").path, ElementsAre("%41"));
}

TEST(Url, TakesAPlusForASpaceInTheQueryAlone) {
  const Target target = Parsed("/g++?q=a+b%2Bc");
  EXPECT_THAT(target.path, ElementsAre("g++"));
  EXPECT_THAT(target.query, ElementsAre(Pair("q", "a b+c")));
}

TEST(Url, KeepsTheParametersInTheirOrder) {
  EXPECT_THAT(
      Parsed("/?b=1&a=2&b=3&&c&d=&=e&f=g=h%26i").query,
      ElementsAre(Pair("b", "1"), Pair("a", "2"), Pair("b", "3"), Pair("c", ""),
                  Pair("d", ""), Pair("", "e"), Pair("f", "g=h&i")));
  EXPECT_THAT(Parsed("/?").query, IsEmpty());
  EXPECT_THAT(Parsed("/a?b/c?d").query, ElementsAre(Pair("b/c?d", "")));
}

TEST(Url, TakesTheOtherFormsOfATarget) {
  EXPECT_THAT(Parsed("HTTP://host:80/a?b").path, ElementsAre("a"));
  EXPECT_THAT(Parsed("http://host/a?b").query, ElementsAre(Pair("b", "")));
  EXPECT_THAT(Parsed("http://host").path, IsEmpty());
  EXPECT_THAT(Parsed("http://host?a/b=c").path, IsEmpty());
  EXPECT_THAT(Parsed("http://host?a/b=c").query, ElementsAre(Pair("a/b", "c")));
  EXPECT_THAT(Parsed("*").path, IsEmpty());
}

TEST(Url, RefusesWhatIsNoTarget) {
  for (const std::string_view bad :
       {"", "a", "host:443", "ftp://host/a", "**", "/#", "/a?b#c", "/%", "/%4",
        "/%4/1", "/%4g", "/%g4", "/%%41", "/?%", "/?a=%1", "/?a%=b", "/%+1",
        "/% 1"}) {
    EXPECT_EQ(ParseTarget(bad).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST(Url, RefusesATargetOfTooManyParts) {
  std::string path;
  std::string query = "/?";
  for (size_t i = 0; i < kMaxTargetParts; ++i) {
    path += "/a";
    query += "&b";
  }
  EXPECT_EQ(Parsed(path).path.size(), kMaxTargetParts);
  EXPECT_EQ(Parsed(query).query.size(), kMaxTargetParts);
  EXPECT_FALSE(ParseTarget(path + "/").ok());
  EXPECT_FALSE(ParseTarget(query + "&b").ok());
}

}  // namespace
}  // namespace bibop::pkgraphd
