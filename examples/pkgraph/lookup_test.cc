#include "bibop/examples/pkgraph/lookup.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using LookupTest = GraphFixture;

TEST_F(LookupTest, FindsPackagesInAnyState) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("a", "Depends: b\nProvides: c\n"));
  for (std::string_view name : {"a", "b", "c"}) {
    EXPECT_EQ((*LookUp(mutator(), graph, name))->name, name);
  }
}

TEST_F(LookupTest, SuggestsTheNameThatComesClosest) {
  HandleScope scope(mutator());
  Handle<Graph> graph = Load(StanzaText("libapt-pkg6.0") +
                             StanzaText("libapt-pkg5.0") + StanzaText("dpkg"));
  const auto error = [&](std::string_view name) {
    const absl::Status status = LookUp(mutator(), graph, name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    return std::string(status.message());
  };
  EXPECT_EQ(error("libapt-pgk6.0"),
            "the index has no package \"libapt-pgk6.0\": did you mean "
            "\"libapt-pkg6.0\"?");
  EXPECT_EQ(error("zsh"), "the index has no package \"zsh\"");
  EXPECT_EQ(error(""), "the index has no package \"\"");
}

TEST_F(LookupTest, EditDistance) {
  EXPECT_EQ(EditDistance("", ""), 0);
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("abc", ""), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("abc", "abc"), 0);
  EXPECT_EQ(EditDistance("abc", "xabc"), 1);
}

}  // namespace
}  // namespace bibop::pkgraph
