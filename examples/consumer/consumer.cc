// The smallest program that uses Bibop from a repository of its own: two nodes
// that point at each other, a collection, and what is left of them.

#include <cstdio>
#include <string>
#include <utility>

#include "bibop/gc.h"

struct Node {
  explicit Node(std::string n) : name(std::move(n)) {}

  void Trace(auto& visitor) const { visitor(next); }

  std::string name;
  bibop::Member<Node> next;
};

int main() {
  auto heap = bibop::Heap::Create({});
  if (!heap.ok()) {
    std::fprintf(stderr, "%s\n", heap.status().ToString().c_str());
    return 1;
  }
  bibop::MutatorScope mutator(**heap);
  bibop::HandleScope scope(mutator);
  bibop::Handle<Node> a = scope.New<Node>("a");
  a->next = scope.New<Node>("b");
  a->next->next = a;
  (*heap)->Collect();
  std::printf("%s %s %s\n", a->name.c_str(), a->next->name.c_str(),
              a->next->next->name.c_str());
}
