// The answers that are found a part at a time: however small the parts, they
// are those that pkgraph finds at once.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/queries.h"
#include "bibop/examples/pkgraph/random_index.h"
#include "bibop/examples/pkgraphd/closure_walk.h"
#include "bibop/examples/pkgraphd/mention_walk.h"
#include "bibop/examples/pkgraphd/name_search.h"
#include "bibop/examples/pkgraphd/package_json.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using pkgraph::Follow;
using pkgraph::Graph;
using pkgraph::GraphFixture;
using pkgraph::Mention;
using pkgraph::Needed;
using pkgraph::Package;
using pkgraph::StanzaText;

class WalksTest : public GraphFixture {
 protected:
  // All lines of a walk that is advanced by `step`, sorted.
  template <class Walk>
  std::vector<std::string> Lines(Handle<Walk> walk, size_t step) {
    std::string text;
    while (Advance(mutator(), walk, step, text)) {
      heap().Collect();  // what the walk needs only the walk keeps
    }
    std::vector<std::string> lines =
        absl::StrSplit(text, '\n', absl::SkipEmpty());
    std::sort(lines.begin(), lines.end());
    return lines;
  }
};

TEST_F(WalksTest, AClosureIsToldNearestFirst) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(absl::StrCat(StanzaText("a", "Depends: b, v | gone\n"),
                        StanzaText("b", "Depends: c\n"), StanzaText("c"),
                        StanzaText("p", "Provides: v\n")));
  Handle<ClosureWalk> walk =
      NewClosureWalk(mutator(), Find(graph, "a"), Follow::kDepends);
  std::string text;
  EXPECT_FALSE(Advance(mutator(), walk, 100, text));
  EXPECT_EQ(text,
            R"({"package": "b", "state": "available", "distance": 1}
{"package": "v", "state": "virtual", "distance": 1}
{"package": "gone", "state": "missing", "distance": 1}
{"package": "c", "state": "available", "distance": 2}
{"package": "p", "state": "available", "distance": 2}
)");
}

TEST_F(WalksTest, AMentionIsToldOncePerField) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(
      absl::StrCat(StanzaText("a", "Depends: b, b (>= 1)\nRecommends: b\n"),
                   StanzaText("b")));
  EXPECT_EQ(
      Lines(NewMentionWalk(mutator(), Find(graph, "b")), 1),
      (std::vector<std::string>{R"({"package": "a", "field": "Depends"})",
                                R"({"package": "a", "field": "Recommends"})"}));
}

TEST_F(WalksTest, PartsAreTheWholeInAnyGraph) {
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    HandleScope scope(mutator());
    Handle<Graph> graph = Load(pkgraph::RandomIndex(seed).text);
    MutableHandle<Package> package = scope.Mutable(graph->first);
    for (int n = 0; package && n < 5; package = package->next_in_graph, ++n) {
      HandleScope inner(mutator());
      Handle<Package> start = package.ToHandleChecked();
      const size_t step = 1 + (seed + start->id) % 7;
      for (Follow follow : {Follow::kDepends, Follow::kDependsAndRecommends}) {
        std::vector<std::string> expected;
        for (const Needed& needed : Closure(mutator(), graph, start, follow)) {
          expected.push_back(
              absl::StrCat(R"({"package": ")", needed.name, R"(", "state": ")",
                           ToString(needed.state), R"(", "distance": )",
                           needed.distance, "}"));
        }
        std::sort(expected.begin(), expected.end());
        EXPECT_EQ(Lines(NewClosureWalk(mutator(), start, follow), step),
                  expected);
      }
      std::vector<std::string> expected;
      for (const Mention& mention : ReverseDependencies(*start)) {
        expected.push_back(absl::StrCat(R"({"package": ")", mention.package,
                                        R"(", "field": ")",
                                        ToString(mention.kind), R"("})"));
      }
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(Lines(NewMentionWalk(mutator(), start), step), expected);
    }
  }
}

TEST_F(WalksTest, AWalkKeepsWhatItHasToLookAtAndNothingElseDoes) {
  HandleScope scope(mutator());
  WeakPersistent<Graph> graph;
  Persistent<ClosureWalk> walk;
  {
    HandleScope inner(mutator());
    Handle<Graph> loaded =
        Load(absl::StrCat(StanzaText("a", "Depends: b\n"), StanzaText("b")));
    graph.Reset(mutator(), loaded);
    walk.Reset(mutator(),
               NewClosureWalk(mutator(), Find(loaded, "a"), Follow::kDepends));
  }
  heap().Collect();
  EXPECT_TRUE(graph.IsEmpty());
  EXPECT_EQ(Lines(scope.Local(walk).ToHandleChecked(), 1),
            std::vector<std::string>{
                R"({"package": "b", "state": "available", "distance": 1})"});
}

TEST_F(WalksTest, ASearchFindsTheFirstNamesInTheAlphabet) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(absl::StrCat(StanzaText("xac"), StanzaText("aa"), StanzaText("bb"),
                        StanzaText("cab", "Depends: ya\n")));
  for (size_t step : {1, 2, 100}) {
    Handle<NameSearch> search = scope.New<NameSearch>(graph, "a", 2);
    while (Advance(*search, step)) {
    }
    EXPECT_EQ(ToJson(*search),
              R"({"query": "a", "found": 4, "packages": ["aa", "cab"]})"
              "\n");
  }
}

TEST_F(WalksTest, APackageIsToldWithAllThatItSays) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText(
      "a", "Depends: b (>= 2) | c, d\nPre-Depends: e\nConflicts: f\n"));
  EXPECT_EQ(
      PackageJson(*Find(graph, "a")),
      R"({"package": "a", "state": "available", "versions": [{"version": "1", )"
      R"("Pre-Depends": ["e"], "Depends": ["b (>= 2) | c", "d"], )"
      R"("Conflicts": ["f"]}]})"
      "\n");
  EXPECT_EQ(PackageJson(*Find(graph, "b")),
            R"({"package": "b", "state": "missing", "versions": []})"
            "\n");
}

TEST_F(WalksTest, APathIsToldHopByHop) {
  EXPECT_EQ(PathJson(std::nullopt), "{\"path\": null}\n");
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(absl::StrCat(StanzaText("a", "Depends: b | c\n"), StanzaText("b")));
  Handle<Package> a = Find(graph, "a"), b = Find(graph, "b");
  EXPECT_EQ(PathJson(Why(mutator(), graph, a, b, Follow::kDepends)),
            R"({"path": [{"from": "a", "field": "Depends", "item": "b | c", )"
            R"("to": "b"}]})"
            "\n");
  EXPECT_EQ(PathJson(Why(mutator(), graph, a, a, Follow::kDepends)),
            "{\"path\": []}\n");
}

}  // namespace
}  // namespace bibop::pkgraphd
