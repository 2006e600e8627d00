#include "bibop/examples/pkgraph/dependency.h"

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::HasSubstr;

// The parsed form of `value`, written out: "a|b(>=1);c". "error" if there is
// none.
std::string Parse(std::string_view value) {
  const absl::StatusOr<std::vector<ParsedDependency>> dependencies =
      ParseDependencies(value);
  if (!dependencies.ok()) return "error";
  std::string text;
  for (const ParsedDependency& dependency : *dependencies) {
    absl::StrAppend(&text, text.empty() ? "" : ";");
    std::string_view bar;
    for (const ParsedAlternative& alternative : dependency) {
      absl::StrAppend(&text, bar, alternative.package);
      bar = "|";
      if (alternative.version.empty()) continue;
      absl::StrAppend(&text, "(", alternative.comparison, alternative.version,
                      ")");
    }
  }
  return text;
}

TEST(DependencyTest, CommasSeparateItemsAndBarsAlternatives) {
  EXPECT_EQ(Parse("libc6"), "libc6");
  EXPECT_EQ(Parse("a, b | c,d|e"), "a;b|c;d|e");
  EXPECT_EQ(Parse("a,\n b |\n c\n"), "a;b|c");
  EXPECT_EQ(Parse("g++, libstdc++-12-dev, 0ad, python3.11, Foo_bar"),
            "g++;libstdc++-12-dev;0ad;python3.11;Foo_bar");
}

TEST(DependencyTest, VersionsKeepTheirComparison) {
  EXPECT_EQ(Parse("a (>= 1:2.3~rc1+dfsg-4)"), "a(>=1:2.3~rc1+dfsg-4)");
  EXPECT_EQ(Parse("a(<<1), b ( = 2 ), c (>> 3) | d (<= 4), e (< 5), f (> 6)"),
            "a(<<1);b(=2);c(>>3)|d(<=4);e(<5);f(>6)");
}

TEST(DependencyTest, ArchitecturesAndRestrictionsAreLeftOut) {
  EXPECT_EQ(Parse("perl:any (>= 5), libc6:amd64"), "perl(>=5);libc6");
  EXPECT_EQ(Parse("a (>= 1) | b:any [amd64 !i386] <!nocheck> <cross>, c"),
            "a(>=1)|b;c");
}

TEST(DependencyTest, EmptyItemsAreLeftOut) {
  EXPECT_EQ(Parse(""), "");
  EXPECT_EQ(Parse(" , a,, b,\n"), "a;b");
}

TEST(DependencyTest, AnythingElseIsAnError) {
  for (std::string_view value : {"a b",
                                 "a |",
                                 "| a",
                                 "a || b",
                                 "(>= 1)",
                                 "a (>= )",
                                 "a (1)",
                                 "a (>= 1",
                                 "a (>= 1) x",
                                 "a >= 1",
                                 "a (== 1)",
                                 "a (>= 1 2)",
                                 "a (>= 1) (<< 2)",
                                 "${misc:Depends}",
                                 "-a",
                                 "a:",
                                 "a:any:any",
                                 "a [amd64",
                                 "a <x",
                                 "a/b",
                                 "a\x80"}) {
    EXPECT_EQ(Parse(value), "error") << value;
  }
}

TEST(DependencyTest, ErrorQuotesTheOneThatIsWrong) {
  EXPECT_THAT(
      std::string(ParseDependencies("a, b | c d, e").status().message()),
      HasSubstr("\"c d\" is not a package"));
}

TEST(DependencyTest, NamesOfPackages) {
  EXPECT_TRUE(IsPackageName("libstdc++6"));
  EXPECT_FALSE(IsPackageName(""));
  EXPECT_FALSE(IsPackageName("+a"));
  EXPECT_FALSE(IsPackageName("a b"));
}

// Whatever is put together from the bytes that mean something, what is accepted
// has names, and lies in the text that it was read from.
TEST(DependencyTest, RandomTextGivesPartsOfItselfOrAnError) {
  constexpr std::string_view kBytes = "ab1 ,|()[]<>=:.~\n\x80";
  size_t accepted = 0;
  for (uint32_t seed = 0; seed < 100'000; ++seed) {
    std::mt19937 random(seed);
    std::string value(random() % 16, ' ');
    for (char& byte : value) byte = kBytes[random() % kBytes.size()];
    const absl::StatusOr<std::vector<ParsedDependency>> dependencies =
        ParseDependencies(value);
    if (!dependencies.ok()) continue;
    for (const ParsedDependency& dependency : *dependencies) {
      ASSERT_FALSE(dependency.empty());
      for (const ParsedAlternative& alternative : dependency) {
        ++accepted;
        ASSERT_TRUE(IsPackageName(alternative.package)) << value;
        ASSERT_GE(alternative.package.data(), value.data());
        ASSERT_LE(alternative.package.data() + alternative.package.size(),
                  value.data() + value.size());
        ASSERT_EQ(alternative.version.empty(), alternative.comparison.empty())
            << value;
      }
    }
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace bibop::pkgraph
