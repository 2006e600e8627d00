#include "bibop/examples/pkgraph/graph.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using GraphTest = GraphFixture;

// What the versions of `package` say, "Depends: a | b (>= 1)" each.
std::vector<std::string> RelationsOf(const Package& package) {
  std::vector<std::string> relations;
  for (const Version* version = package.versions.get(); version != nullptr;
       version = version->next.get()) {
    for (const Dependency* item = version->dependencies.get(); item != nullptr;
         item = item->next.get()) {
      relations.push_back(
          absl::StrCat(ToString(item->kind), ": ", ToString(*item)));
    }
  }
  return relations;
}

TEST_F(GraphTest, VersionHasItsRelationsInOrder) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("apt",
                                        "Conflicts: old (<< 1)\n"
                                        "Provides: api (= 2)\n"
                                        "Recommends: c\n"
                                        "Suggests: nothing\n"
                                        "Depends: a, b (>= 1) | c:any\n"
                                        "Pre-Depends: d\n"));
  EXPECT_THAT(RelationsOf(*Find(graph, "apt")),
              ElementsAre("Pre-Depends: d", "Depends: a",
                          "Depends: b (>= 1) | c", "Recommends: c",
                          "Provides: api (= 2)", "Conflicts: old (<< 1)"));
  EXPECT_EQ(graph->package_count, 7);
  EXPECT_EQ(graph->version_count, 1);
  EXPECT_EQ(graph->dependency_count, 6);
  EXPECT_EQ(graph->alternative_count, 7);
}

TEST_F(GraphTest, EveryEdgeCanBeFollowedBack) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(StanzaText("a", "Depends: x | y\n") +
           StanzaText("b", "Conflicts: x\n") + StanzaText("x"));
  std::vector<std::string> naming_x;
  for (const Alternative* naming = Find(graph, "x")->named_by.get();
       naming != nullptr; naming = naming->next_naming_target.get()) {
    EXPECT_EQ(naming->target->name, "x");
    naming_x.push_back(absl::StrCat(naming->dependency->version->package->name,
                                    " ", ToString(naming->dependency->kind)));
  }
  EXPECT_THAT(naming_x,
              testing::UnorderedElementsAre("a Depends", "b Conflicts"));
}

TEST_F(GraphTest, PackagesAreAvailableVirtualOrMissing) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load(StanzaText("a", "Depends: later, virtual, missing\n") +
           StanzaText("later", "Provides: virtual, a\n"));
  EXPECT_EQ(StateOf(*Find(graph, "a")), PackageState::kAvailable);
  EXPECT_EQ(StateOf(*Find(graph, "later")), PackageState::kAvailable);
  EXPECT_EQ(StateOf(*Find(graph, "virtual")), PackageState::kVirtual);
  EXPECT_EQ(StateOf(*Find(graph, "missing")), PackageState::kMissing);
}

TEST_F(GraphTest, EveryVersionOfAPackageIsKept) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(
      "Package: a\nVersion: 1\nArchitecture: all\nDepends: x\n\n"
      "Package: a\nVersion: 2\nArchitecture: all\nDepends: y\n\n");
  Handle<Package> package = Find(graph, "a");
  EXPECT_EQ(package->versions->number, "2");
  EXPECT_EQ(package->versions->next->number, "1");
  EXPECT_THAT(RelationsOf(*package), ElementsAre("Depends: y", "Depends: x"));
  EXPECT_EQ(graph->version_count, 2);
}

TEST_F(GraphTest, PackageThatIsNotInstalledIsANameOnly) {
  HandleScope scope(mutator());
  Handle<Graph> graph =
      Load("Package: a\nStatus: unknown ok not-installed\nDepends: b\n");
  EXPECT_EQ(StateOf(*Find(graph, "a")), PackageState::kMissing);
  EXPECT_EQ(graph->package_count, 1);
}

TEST_F(GraphTest, IncompleteStanzaIsAnErrorWithItsLine) {
  HandleScope scope(mutator());
  const auto error = [&](const std::string& text) {
    return std::string(TryLoad(StanzaText("good") + text).status().message());
  };
  EXPECT_THAT(error("Version: 1\n"),
              HasSubstr("index:5: the stanza that starts here has no Package"));
  EXPECT_THAT(error("Package: a\nArchitecture: all\n"),
              HasSubstr("index:5: the stanza that starts here has no Version"));
  EXPECT_THAT(error("Package: a\nVersion: 1\n"),
              HasSubstr("index:5: the stanza that starts here has no Archi"));
  EXPECT_THAT(error("Package: a\nVersion:\nArchitecture: all\n"),
              HasSubstr("index:5: the stanza that starts here has no Version"));
}

TEST_F(GraphTest, MalformedFieldIsAnErrorWithItsLine) {
  HandleScope scope(mutator());
  const auto error = [&](const std::string& text) {
    return std::string(TryLoad(text).status().message());
  };
  EXPECT_THAT(error("Version: 1\nPackage: a b\n"),
              HasSubstr("index:2: \"a b\" is not the name of a package"));
  EXPECT_THAT(error(StanzaText("a", "Depends: b (1)\n")),
              HasSubstr("index:4: Depends: \"b (1)\" is not a package"));
  EXPECT_THAT(error(StanzaText("a", "Depends b\n")), HasSubstr("index:4: "));
}

TEST_F(GraphTest, IndexWithoutAPackageIsAnError) {
  HandleScope scope(mutator());
  EXPECT_THAT(std::string(TryLoad("\n\n").status().message()),
              HasSubstr("index:1: the file has no package"));
}

std::string LargeIndex() {
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    absl::StrAppend(
        &text, StanzaText(absl::StrCat("package-with-a-long-name-", i),
                          absl::StrCat("Depends: package-with-a-long-name-",
                                       i * 7 % 2000, " | missing-", i,
                                       " (>= 1:2.3-4~deb12u1), virtual\n",
                                       "Provides: virtual\n")));
  }
  return text;
}

// Collections run while this graph is built: what they must keep is reached
// through half-built lists.
TEST_F(GraphTest, IsWholeAfterCollectionsDuringAndAfterItsConstruction) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(LargeIndex());
  EXPECT_GT(heap().stats().cycles, 3);
  heap().Collect();
  EXPECT_EQ(graph->package_count, 4001);
  for (int i = 0; i < 2000; ++i) {
    HandleScope inner(mutator());
    Handle<Package> package =
        Find(graph, absl::StrCat("package-with-a-long-name-", i));
    ASSERT_THAT(RelationsOf(*package),
                ElementsAre(absl::StrCat("Depends: package-with-a-long-name-",
                                         i * 7 % 2000, " | missing-", i,
                                         " (>= 1:2.3-4~deb12u1)"),
                            "Depends: virtual", "Provides: virtual"));
  }
}

// Every object of it is on a cycle.
TEST_F(GraphTest, IsGarbageAsAWholeOnceItsHandleIsGone) {
  {
    HandleScope scope(mutator());
    Handle<Graph> graph = Load(LargeIndex());
    heap().Collect();
    const auto objects = static_cast<int64_t>(
        graph->package_count + graph->version_count + graph->dependency_count +
        graph->alternative_count);
    EXPECT_GE(heap().stats().live_objects, objects);
  }
  heap().Collect();
  EXPECT_EQ(heap().stats().live_objects, 0);
}

// A cut leaves an error, or a graph of the stanzas before it.
TEST_F(GraphTest, IndexCutAtAnyByte) {
  const std::string whole = StanzaText("a", "Depends: b,\n c\n") +
                            StanzaText("b", "Provides: d\n") + StanzaText("c");
  size_t errors = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    HandleScope scope(mutator());
    const absl::StatusOr<Handle<Graph>> graph = TryLoad(whole.substr(0, size));
    if (graph.ok()) {
      EXPECT_LE((*graph)->version_count, 3);
      EXPECT_GE((*graph)->version_count, 1);
    } else {
      ++errors;
      EXPECT_EQ(graph.status().code(), absl::StatusCode::kInvalidArgument);
    }
  }
  // What cannot be noticed: a cut behind a stanza, behind its newline, or
  // behind one of the lines that follow its Architecture.
  EXPECT_EQ(whole.size() - errors, 8);
}

}  // namespace
}  // namespace bibop::pkgraph
