#include "bibop/examples/pkgraph/edges.h"

#include "absl/functional/function_ref.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

using Visit =
    absl::FunctionRef<void(Handle<Package> to, Handle<Alternative> via)>;

bool IsFollowed(RelationKind kind, Follow follow) {
  return kind == RelationKind::kPreDepends || kind == RelationKind::kDepends ||
         (kind == RelationKind::kRecommends &&
          follow == Follow::kDependsAndRecommends);
}

// A scope grows with every handle made in it, so the loops below step with one
// re-assignable handle per list, and give each edge a scope of its own.

void ForEachNeeded(Mutator& mutator, Handle<Package> from, Follow follow,
                   Visit visit) {
  HandleScope scope(mutator);
  MutableHandle<Version> version = scope.Mutable(from->versions);
  MutableHandle<Dependency> dependency = scope.Mutable<Dependency>();
  MutableHandle<Alternative> alternative = scope.Mutable<Alternative>();
  for (; version; version = version->next) {
    for (dependency = version->dependencies; dependency;
         dependency = dependency->next) {
      if (!IsFollowed(dependency->kind, follow)) continue;
      for (alternative = dependency->alternatives; alternative;
           alternative = alternative->next) {
        HandleScope edge(mutator);
        visit(edge.Local(alternative->target).ToHandleChecked(),
              alternative.ToHandleChecked());
      }
    }
  }
}

void ForEachProvider(Mutator& mutator, Handle<Package> from, Visit visit) {
  HandleScope scope(mutator);
  MutableHandle<Alternative> naming = scope.Mutable(from->named_by);
  for (; naming; naming = naming->next_naming_target) {
    if (naming->dependency->kind != RelationKind::kProvides) continue;
    HandleScope edge(mutator);
    visit(edge.Local(naming->dependency->version->package).ToHandleChecked(),
          naming.ToHandleChecked());
  }
}

}  // namespace

void ForEachEdge(Mutator& mutator, Handle<Package> from, Follow follow,
                 Visit visit) {
  switch (StateOf(*from)) {
    case PackageState::kAvailable:
      return ForEachNeeded(mutator, from, follow, visit);
    case PackageState::kVirtual:
      return ForEachProvider(mutator, from, visit);
    case PackageState::kMissing:
      return;
  }
}

}  // namespace bibop::pkgraph
