// What the tests of the graph share: a heap, and an index written as text.

#ifndef BIBOP_EXAMPLES_PKGRAPH_GRAPH_FIXTURE_H_
#define BIBOP_EXAMPLES_PKGRAPH_GRAPH_FIXTURE_H_

#include <cstddef>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/lookup.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {

// A test with a heap that collects as often as a heap can, so that a handle
// which is missing somewhere does not go unnoticed.
class GraphFixture : public testing::Test {
 protected:
  Heap& heap() { return *heap_; }
  Mutator& mutator() { return *mutator_; }

  absl::StatusOr<Handle<Graph>> TryLoad(const std::string& text) {
    std::istringstream input(text);
    return LoadGraph(mutator(), input, "index");
  }
  // Aborts if `text` is not an index.
  Handle<Graph> Load(const std::string& text) { return TryLoad(text).value(); }

  // Aborts if the graph has no such package.
  Handle<Package> Find(Handle<Graph> graph, std::string_view name) {
    return LookUp(mutator(), graph, name).value();
  }

 private:
  static std::unique_ptr<Heap> NewHeap() {
    HeapOptions options;
    options.min_budget_bytes = size_t{64} << 10;
    options.small_heap_bytes = size_t{64} << 10;
    options.growth_factor = 1.1;
    return Heap::Create(options).value();
  }

  std::unique_ptr<Heap> heap_ = NewHeap();
  std::unique_ptr<Mutator> mutator_ = heap_->Attach().value();
};

// A stanza: `fields` are further lines, each with its newline.
inline std::string StanzaText(std::string_view package,
                              std::string_view fields = "") {
  return absl::StrCat("Package: ", package, "\nVersion: 1\nArchitecture: all\n",
                      fields, "\n");
}

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_GRAPH_FIXTURE_H_
