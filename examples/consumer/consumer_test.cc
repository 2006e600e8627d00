// A test in a repository that depends on Bibop: a list keeps its length through
// collections. It uses no test framework, so that the example depends on Bibop
// alone.

#include <cstdio>

#include "bibop/gc.h"

struct Link {
  explicit Link(int number) : number(number) {}

  void Trace(auto& visitor) const { visitor(next); }

  int number;
  bibop::Member<Link> next;
};

int main() {
  constexpr int kLinks = 1000;
  auto heap = bibop::Heap::Create({});
  if (!heap.ok()) {
    std::fprintf(stderr, "%s\n", heap.status().ToString().c_str());
    return 1;
  }
  bibop::MutatorScope mutator(**heap);
  bibop::HandleScope outer(mutator);
  bibop::Handle<Link> head = outer.New<Link>(0);
  for (int i = 1; i < kLinks; ++i) {
    bibop::HandleScope scope(mutator);
    bibop::Handle<Link> link = scope.New<Link>(i);
    link->next = head->next;
    head->next = link;
    if (i % 100 == 0) (*heap)->Collect();
  }
  (*heap)->Collect();

  int expected = kLinks - 1;
  for (const Link* link = head->next.get(); link != nullptr;
       link = link->next.get()) {
    if (link->number != expected) {
      std::fprintf(stderr, "link %d is where %d should be\n", link->number,
                   expected);
      return 1;
    }
    --expected;
  }
  if (expected != 0) {
    std::fprintf(stderr, "%d links are missing\n", expected);
    return 1;
  }
}
