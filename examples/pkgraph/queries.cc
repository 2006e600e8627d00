#include "bibop/examples/pkgraph/queries.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/function_ref.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// A package that a breadth-first search has come to. Steps are both the
// search's queue, through `next`, and its tree, through `previous`. A step that
// has left the queue stays alive while steps in the queue came from it.
struct Step {
  explicit Step(Handle<Package> package) : package(package) {}
  Step(Handle<Package> package, Handle<Alternative> via, Handle<Step> previous)
      : package(package),
        via(via),
        previous(previous),
        distance(previous->distance + 1) {}

  void Trace(auto& visitor) const { visitor(package, via, previous, next); }

  Member<Package> package;
  Member<Alternative> via;  // null for the start
  Member<Step> previous;    // null for the start
  Member<Step> next;
  size_t distance = 0;
};

// Calls `visit` with a step for `start` and for each package that it leads to,
// nearest first, until `visit` returns false. `visit` may not allocate in the
// heap.
void BreadthFirstSearch(Mutator& mutator, Handle<Graph> graph,
                        Handle<Package> start, Follow follow,
                        absl::FunctionRef<bool(const Step&)> visit) {
  HandleScope scope(mutator);
  std::vector<bool> seen(graph->package_count);
  seen[start->id] = true;
  MutableHandle<Step> head = scope.Mutable<Step>();
  {
    HandleScope inner(mutator);  // else the first step would never be garbage
    head = inner.New<Step>(start);
  }
  MutableHandle<Step> tail = scope.Mutable(head);
  while (head && visit(*head)) {
    HandleScope inner(mutator);
    Handle<Package> package = inner.Local(head->package).ToHandleChecked();
    ForEachEdge(mutator, package, follow,
                [&](Handle<Package> to, Handle<Alternative> via) {
                  if (seen[to->id]) return;
                  seen[to->id] = true;
                  HandleScope edge(mutator);
                  tail->next = edge.New<Step>(to, via, head.ToHandleChecked());
                  tail = tail->next;
                });
    Handle<Step> done = inner.Local(head).ToHandleChecked();
    head = done->next;
    done->next = nullptr;  // else the first step would keep all others alive
  }
}

// The path to `last`, from the start on.
std::vector<Hop> PathTo(const Step& last) {
  std::vector<Hop> path;
  for (const Step* step = &last; step->previous; step = step->previous.get()) {
    const Dependency& dependency = *step->via->dependency;
    path.push_back({.from = step->previous->package->name,
                    .kind = dependency.kind,
                    .item = ToString(dependency),
                    .to = step->package->name});
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace

std::vector<Needed> Closure(Mutator& mutator, Handle<Graph> graph,
                            Handle<Package> start, Follow follow) {
  std::vector<Needed> closure;
  BreadthFirstSearch(mutator, graph, start, follow, [&](const Step& step) {
    if (step.distance > 0) {
      closure.push_back({.name = step.package->name,
                         .state = StateOf(*step.package),
                         .distance = step.distance});
    }
    return true;
  });
  std::sort(
      closure.begin(), closure.end(), [](const Needed& a, const Needed& b) {
        return std::tie(a.distance, a.name) < std::tie(b.distance, b.name);
      });
  return closure;
}

std::optional<std::vector<Hop>> Why(Mutator& mutator, Handle<Graph> graph,
                                    Handle<Package> from, Handle<Package> to,
                                    Follow follow) {
  std::optional<std::vector<Hop>> path;
  BreadthFirstSearch(mutator, graph, from, follow, [&](const Step& step) {
    if (step.package->id != to->id) return true;
    path = PathTo(step);
    return false;
  });
  return path;
}

std::vector<Mention> ReverseDependencies(const Package& package) {
  std::vector<Mention> mentions;
  for (const Alternative* naming = package.named_by.get(); naming != nullptr;
       naming = naming->next_naming_target.get()) {
    const Dependency& dependency = *naming->dependency;
    mentions.push_back({.kind = dependency.kind,
                        .package = dependency.version->package->name});
  }
  std::sort(mentions.begin(), mentions.end());
  mentions.erase(std::unique(mentions.begin(), mentions.end()), mentions.end());
  return mentions;
}

}  // namespace bibop::pkgraph
