#include "bibop/examples/pkgraph/name_table.h"

#include <cstddef>
#include <string_view>

#include "absl/hash/hash.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// Where the bucket of a name is.
struct Place {
  explicit Place(std::string_view name) {
    const size_t hash = absl::HashOf(name);
    page = hash % NameTable::kFanOut;
    bucket = hash / NameTable::kFanOut % NameTable::kFanOut;
  }

  size_t page;
  size_t bucket;
};

}  // namespace

MaybeHandle<Package> FindPackage(HandleScope& scope, Handle<NameTable> table,
                                 std::string_view name) {
  const Place place(name);
  if (!table->pages[place.page]) return {};
  const Member<Package>* link =
      &table->pages[place.page]->buckets[place.bucket];
  while (*link && (*link)->name != name) link = &(*link)->next_in_bucket;
  return scope.Local(*link);
}

void InsertPackage(Mutator& mutator, Handle<NameTable> table,
                   Handle<Package> package) {
  const Place place(package->name);
  Member<NameTable::Page>& page = table->pages[place.page];
  if (!page) {
    HandleScope scope(mutator);
    page = scope.New<NameTable::Page>();
  }
  Member<Package>& bucket = page->buckets[place.bucket];
  package->next_in_bucket = bucket;
  bucket = package;
}

}  // namespace bibop::pkgraph
