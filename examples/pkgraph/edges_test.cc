#include "bibop/examples/pkgraph/edges.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class EdgesTest : public GraphFixture {
 protected:
  // Where the edges of `name` lead, and by which field.
  std::vector<std::string> EdgesOf(Handle<Graph> graph, std::string_view name,
                                   Follow follow = Follow::kDepends) {
    std::vector<std::string> edges;
    ForEachEdge(mutator(), Find(graph, name), follow,
                [&](Handle<Package> to, Handle<Alternative> via) {
                  edges.push_back(absl::StrCat(ToString(via->dependency->kind),
                                               " ", to->name));
                });
    return edges;
  }
};

TEST_F(EdgesTest, PackageLeadsToEveryAlternativeOfWhatItDependsOn) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("a",
                                        "Pre-Depends: b\nDepends: c | d, e\n"
                                        "Recommends: f\nProvides: g\n"
                                        "Conflicts: h\n"));
  EXPECT_THAT(EdgesOf(graph, "a"), ElementsAre("Pre-Depends b", "Depends c",
                                               "Depends d", "Depends e"));
  EXPECT_THAT(EdgesOf(graph, "a", Follow::kDependsAndRecommends),
              ElementsAre("Pre-Depends b", "Depends c", "Depends d",
                          "Depends e", "Recommends f"));
}

TEST_F(EdgesTest, EveryVersionOfAPackageCounts) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(StanzaText("a", "Depends: b\n") + StanzaText("a", "Depends: c\n"));
  EXPECT_THAT(EdgesOf(graph, "a"),
              UnorderedElementsAre("Depends b", "Depends c"));
}

TEST_F(EdgesTest, VirtualPackageLeadsToItsProviders) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("exim", "Provides: mta\n") +
                             StanzaText("postfix", "Provides: mta\n") +
                             StanzaText("mdadm", "Depends: mta\n") +
                             StanzaText("sendmail", "Conflicts: mta\n"));
  EXPECT_THAT(EdgesOf(graph, "mta"),
              UnorderedElementsAre("Provides exim", "Provides postfix"));
}

TEST_F(EdgesTest, AvailablePackageDoesNotLeadToThoseThatProvideItToo) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(StanzaText("awk") + StanzaText("mawk", "Provides: awk\n"));
  EXPECT_THAT(EdgesOf(graph, "awk"), IsEmpty());
}

TEST_F(EdgesTest, MissingPackageLeadsNowhere) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("a", "Depends: b\n"));
  EXPECT_THAT(EdgesOf(graph, "b"), IsEmpty());
}

}  // namespace
}  // namespace bibop::pkgraph
