#include "bibop/benchmarks/live_graph.h"

#include <cstddef>
#include <cstdint>

#include "bibop/gc.h"

namespace bibop::benchmarks {

LiveGraph::LiveGraph(Mutator& mutator, HandleScope& scope, size_t objects)
    : mutator_(mutator), table_(scope.NewArray<Member<Node>>(objects)) {
  int64_t number = 0;
  for (Member<Node>& place : *table_) {
    HandleScope inner(mutator_);
    const Handle<Node> node = inner.New<Node>();
    node->values[0] = number++;
    place = node;
  }
  for (Member<Node>& place : *table_) {
    for (Member<Node>& edge : place->edges) edge = AnyNode();
    mutator_.Safepoint();
  }
}

void LiveGraph::Operate() {
  {
    HandleScope scope(mutator_);
    MutableHandle<Small> last = scope.Mutable(scope.New<Small>());
    for (size_t i = 1; i < kBytesPerOperation / sizeof(Small); ++i) {
      HandleScope inner(mutator_);
      const Handle<Small> next = inner.New<Small>();
      next->next = last;
      last = next;
    }
  }
  for (int i = 0; i < kUpdatesPerOperation; ++i) Update();
}

int64_t LiveGraph::Checksum() const {
  int64_t checksum = 0;
  for (const Member<Node>& place : *table_) {
    for (const Member<Node>& edge : place->edges) {
      checksum = (checksum * 31 + edge->values[0]) & 0x7fffffff;
    }
  }
  return checksum;
}

}  // namespace bibop::benchmarks
