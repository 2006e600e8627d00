#include "bibop/examples/pkgraph/queries.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/random_index.h"
#include "bibop/gc.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class QueriesTest : public GraphFixture {
 protected:
  // "distance name" each.
  std::vector<std::string> ClosureOf(Handle<Graph> graph, std::string_view name,
                                     Follow follow = Follow::kDepends) {
    std::vector<std::string> closure;
    for (const Needed& needed :
         Closure(mutator(), graph, Find(graph, name), follow)) {
      closure.push_back(absl::StrCat(needed.distance, " ", needed.name));
    }
    return closure;
  }

  // "from Kind[item] to" each.
  std::optional<std::vector<std::string>> PathOf(
      Handle<Graph> graph, std::string_view from, std::string_view to,
      Follow follow = Follow::kDepends) {
    const std::optional<std::vector<Hop>> path =
        Why(mutator(), graph, Find(graph, from), Find(graph, to), follow);
    if (!path) return std::nullopt;
    std::vector<std::string> hops;
    for (const Hop& hop : *path) {
      hops.push_back(absl::StrCat(hop.from, " ", ToString(hop.kind), "[",
                                  hop.item, "] ", hop.to));
    }
    return hops;
  }
};

TEST_F(QueriesTest, ClosureIsInOrderOfDistanceAndName) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(
      StanzaText("a", "Depends: z, b | virtual\nRecommends: r\n") +
      StanzaText("b", "Depends: a, c\n") + StanzaText("c", "Depends: d\n") +
      StanzaText("p", "Provides: virtual\n") + StanzaText("unrelated"));
  EXPECT_THAT(ClosureOf(graph, "a"),
              ElementsAre("1 b", "1 virtual", "1 z", "2 c", "2 p", "3 d"));
  EXPECT_THAT(ClosureOf(graph, "c", Follow::kDependsAndRecommends),
              ElementsAre("1 d"));
  EXPECT_THAT(ClosureOf(graph, "unrelated"), IsEmpty());
}

TEST_F(QueriesTest, ClosureSaysWhatIsVirtualOrMissing) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("a", "Depends: m, v\n") +
                             StanzaText("p", "Provides: v\n"));
  std::vector<PackageState> states;
  for (const Needed& needed :
       Closure(mutator(), graph, Find(graph, "a"), Follow::kDepends)) {
    states.push_back(needed.state);
  }
  EXPECT_THAT(states,
              ElementsAre(PackageState::kMissing, PackageState::kVirtual,
                          PackageState::kAvailable));
}

TEST_F(QueriesTest, PathIsAShortestOneAndSaysWhichFieldsItTakes) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(StanzaText("a", "Depends: b\nPre-Depends: x | v (>= 2)\n") +
           StanzaText("b", "Depends: c\n") + StanzaText("c", "Depends: d\n") +
           StanzaText("p", "Provides: v\nDepends: d (= 1)\nRecommends: r\n"));
  EXPECT_THAT(*PathOf(graph, "a", "d"),
              ElementsAre("a Pre-Depends[x | v (>= 2)] v", "v Provides[v] p",
                          "p Depends[d (= 1)] d"));
  EXPECT_THAT(*PathOf(graph, "a", "a"), IsEmpty());
  EXPECT_EQ(PathOf(graph, "d", "a"), std::nullopt);
  EXPECT_EQ(PathOf(graph, "a", "r"), std::nullopt);
  EXPECT_THAT(*PathOf(graph, "p", "r", Follow::kDependsAndRecommends),
              ElementsAre("p Recommends[r] r"));
}

TEST_F(QueriesTest, ReverseDependenciesAreOnePerPackageAndKind) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(
      StanzaText("b", "Depends: x (>= 1), x (<< 3) | y\nConflicts: x\n") +
      StanzaText("a", "Depends: x\n") + StanzaText("c", "Recommends: x\n") +
      StanzaText("d", "Provides: x\n") + StanzaText("e", "Pre-Depends: x\n"));
  std::vector<std::string> mentions;
  for (const Mention& mention : ReverseDependencies(*Find(graph, "x"))) {
    mentions.push_back(
        absl::StrCat(ToString(mention.kind), " ", mention.package));
  }
  EXPECT_THAT(mentions,
              ElementsAre("Pre-Depends e", "Depends a", "Depends b",
                          "Recommends c", "Provides d", "Conflicts b"));
  EXPECT_THAT(ReverseDependencies(*Find(graph, "a")), IsEmpty());
}

// Searches that are long enough for collections to run during them, and for
// the cells of what they would lose to be used again.
TEST_F(QueriesTest, SearchLosesNothingToCollections) {
  constexpr size_t kPackages = 20'000;
  std::string text;
  std::vector<std::string> expected;
  for (size_t i = 0; i < kPackages; ++i) {
    text += StanzaText(absl::StrCat("p", i),
                       absl::StrCat("Depends: p", i + 1, "\n"));
    expected.push_back(absl::StrCat("p", i, " Depends[p", i + 1, "] p", i + 1));
  }
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(text);
  const int64_t cycles = heap().stats().cycles;
  // How many searches that takes depends on how fast the collector's thread is.
  while (heap().stats().cycles < cycles + 6) {
    HandleScope inner(mutator());
    ASSERT_EQ(PathOf(graph, "p0", absl::StrCat("p", kPackages)), expected);
  }
}

TEST_F(QueriesTest, ClosureAndPathsAgreeWithAnotherAlgorithm) {
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const RandomIndex index(seed);
    HandleScope scope(mutator());
    Handle<Graph> graph = Load(index.text);
    for (size_t from = 0; from < index.distance.size(); ++from) {
      HandleScope inner(mutator());
      std::vector<std::string> expected;
      for (size_t to = 0; to < index.distance.size(); ++to) {
        const size_t distance = index.distance[from][to];
        const auto path =
            PathOf(graph, RandomIndex::Name(from), RandomIndex::Name(to));
        ASSERT_EQ(path.has_value(), distance < RandomIndex::kUnreachable);
        if (path) {
          ASSERT_EQ(path->size(), distance);
        }
        if (distance > 0 && path) {
          expected.push_back(
              absl::StrCat(distance, " ", RandomIndex::Name(to)));
        }
      }
      ASSERT_THAT(ClosureOf(graph, RandomIndex::Name(from)),
                  testing::UnorderedElementsAreArray(expected))
          << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace bibop::pkgraph
