#include "bibop/examples/pkgraph/name_table.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/graph_fixture.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using NameTableTest = GraphFixture;

// More names than buckets: chains are in it. The packages have no other root.
TEST_F(NameTableTest, HoldsEveryPackageByItselfAndNoOther) {
  constexpr size_t kNames = 100'000;
  HandleScope scope(mutator());
  Handle<NameTable> table = scope.New<NameTable>();
  for (size_t id = 0; id < kNames; ++id) {
    HandleScope inner(mutator());
    InsertPackage(mutator(), table,
                  inner.New<Package>(absl::StrCat("p", id), id));
  }
  heap().Collect();
  EXPECT_GE(heap().stats().live_objects, static_cast<int64_t>(kNames));
  for (size_t id = 0; id < kNames; ++id) {
    HandleScope inner(mutator());
    MaybeHandle<Package> package =
        FindPackage(inner, table, absl::StrCat("p", id));
    ASSERT_FALSE(package.IsEmpty()) << id;
    ASSERT_EQ(package.ToHandleChecked()->id, id);
  }
  EXPECT_TRUE(FindPackage(scope, table, "p").IsEmpty());
  EXPECT_TRUE(FindPackage(scope, table, absl::StrCat("p", kNames)).IsEmpty());
}

TEST_F(NameTableTest, EmptyTableHasNothing) {
  HandleScope scope(mutator());
  EXPECT_TRUE(FindPackage(scope, scope.New<NameTable>(), "apt").IsEmpty());
}

}  // namespace
}  // namespace bibop::pkgraph
