#include "bibop/examples/pkgraph/cycles.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// An edge that a visit has not followed yet.
struct PendingEdge {
  PendingEdge(Handle<Package> to, const Member<PendingEdge>& next)
      : to(to), next(next) {}

  void Trace(auto& visitor) const { visitor(to, next); }

  Member<Package> to;
  Member<PendingEdge> next;
};

// The visit of one package. Visits form two stacks: `caller` leads to those
// under way, what would be the call stack of a recursive search; `below` to
// those whose component is not known yet.
struct Visit {
  Visit(Handle<Package> package, const MutableHandle<Visit>& caller,
        const MutableHandle<Visit>& below)
      : package(package), caller(caller), below(below) {}

  void Trace(auto& visitor) const { visitor(package, pending, caller, below); }

  Member<Package> package;
  Member<PendingEdge> pending;
  Member<Visit> caller;
  Member<Visit> below;
};

// What the search knows of a package.
struct Note {
  size_t order = 0;  // of its visit; 0: not visited
  size_t low =
      0;  // the lowest order it reaches in its component, as far as known
  bool is_open = false;  // its component is not known yet
};

// Tarjan's search, over all packages of one graph.
class ComponentSearch {
 public:
  ComponentSearch(Mutator& mutator, Handle<Graph> graph, Follow follow)
      : mutator_(mutator), follow_(follow), notes_(graph->package_count) {}

  // Visits what can be reached from `root` and was not visited before.
  void VisitFrom(Handle<Package> root);

  std::vector<std::vector<std::string>> TakeCycles() {
    return std::move(cycles_);
  }

 private:
  // Starts the visit of `package`.
  void Enter(Handle<Package> package, MutableHandle<Visit>& current,
             MutableHandle<Visit>& open);
  // Ends the visit `current`; if it was the first of its component, takes that
  // off `open`.
  void Leave(MutableHandle<Visit>& current, MutableHandle<Visit>& open);

  Mutator& mutator_;
  const Follow follow_;
  std::vector<Note> notes_;  // by Package::id
  size_t visited_ = 0;
  std::vector<std::vector<std::string>> cycles_;
};

void ComponentSearch::VisitFrom(Handle<Package> root) {
  if (notes_[root->id].order != 0) return;
  HandleScope scope(mutator_);
  // The top of the stack of visits under way, and of those without a component.
  MutableHandle<Visit> current = scope.Mutable<Visit>();
  MutableHandle<Visit> open = scope.Mutable<Visit>();
  Enter(root, current, open);
  while (current) {
    if (!current->pending) {
      Leave(current, open);
      continue;
    }
    HandleScope inner(mutator_);
    Handle<Package> to = inner.Local(current->pending->to).ToHandleChecked();
    current->pending = current->pending->next;
    if (notes_[to->id].order == 0) {
      Enter(to, current, open);
    } else if (notes_[to->id].is_open) {
      Note& note = notes_[current->package->id];
      note.low = std::min(note.low, notes_[to->id].order);
    }
  }
}

void ComponentSearch::Enter(Handle<Package> package,
                            MutableHandle<Visit>& current,
                            MutableHandle<Visit>& open) {
  ++visited_;
  notes_[package->id] = {.order = visited_, .low = visited_, .is_open = true};
  HandleScope scope(mutator_);
  Handle<Visit> visit = scope.New<Visit>(package, current, open);
  ForEachEdge(mutator_, package, follow_,
              [&](Handle<Package> to, Handle<Alternative>) {
                HandleScope inner(mutator_);
                visit->pending = inner.New<PendingEdge>(to, visit->pending);
              });
  current = visit;
  open = visit;
}

void ComponentSearch::Leave(MutableHandle<Visit>& current,
                            MutableHandle<Visit>& open) {
  const Note& note = notes_[current->package->id];
  if (current->caller) {
    Note& caller = notes_[current->caller->package->id];
    caller.low = std::min(caller.low, note.low);
  }
  if (note.low == note.order) {
    std::vector<std::string> component;
    do {
      notes_[open->package->id].is_open = false;
      if (StateOf(*open->package) == PackageState::kAvailable) {
        component.push_back(open->package->name);
      }
      open = open->below;
    } while (open.get() != current->below.get());
    if (component.size() > 1) cycles_.push_back(std::move(component));
  }
  current = current->caller;
}

}  // namespace

std::vector<std::vector<std::string>> FindCycles(Mutator& mutator,
                                                 Handle<Graph> graph,
                                                 Follow follow) {
  ComponentSearch search(mutator, graph, follow);
  HandleScope scope(mutator);
  MutableHandle<Package> package = scope.Mutable(graph->first);
  for (; package; package = package->next_in_graph) {
    search.VisitFrom(package.ToHandleChecked());
  }
  std::vector<std::vector<std::string>> cycles = search.TakeCycles();
  for (std::vector<std::string>& cycle : cycles) {
    std::sort(cycle.begin(), cycle.end());
  }
  std::sort(cycles.begin(), cycles.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
  return cycles;
}

}  // namespace bibop::pkgraph
