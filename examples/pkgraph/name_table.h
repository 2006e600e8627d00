// A hash table from names to packages that is itself part of the
// garbage-collected graph: it roots its packages, and dies with the graph.
//
// Members cannot be the elements of a std container, so the table is what
// Members can be: arrays and linked lists. A page of pointers to pages of
// buckets gives 65,536 buckets, of which only those pages exist that have a
// package; packages of one bucket are chained through Package::next_in_bucket.
//
// Not synchronized: any number of threads may look names up while none inserts.

#ifndef BIBOP_EXAMPLES_PKGRAPH_NAME_TABLE_H_
#define BIBOP_EXAMPLES_PKGRAPH_NAME_TABLE_H_

#include <array>
#include <cstddef>
#include <string_view>

#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {

// The table. It lives in the heap, like what it holds.
struct NameTable {
  static constexpr size_t kFanOut = 256;

  struct Page {
    void Trace(auto& visitor) const { visitor(buckets); }

    std::array<Member<Package>, kFanOut> buckets;
  };

  void Trace(auto& visitor) const { visitor(pages); }

  std::array<Member<Page>, kFanOut> pages;
};

// The package called `name`, if the table has it.
MaybeHandle<Package> FindPackage(HandleScope& scope, Handle<NameTable> table,
                                 std::string_view name);

// Adds `package`. This may allocate and hence collect, which is why it is no
// method of NameTable: a `this` keeps nothing alive, a handle does.
//
// REQUIRES: the table has no package of that name.
void InsertPackage(Mutator& mutator, Handle<NameTable> table,
                   Handle<Package> package);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_NAME_TABLE_H_
