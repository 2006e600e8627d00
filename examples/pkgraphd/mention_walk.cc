#include "bibop/examples/pkgraphd/mention_walk.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "bibop/base/json_writer.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {
namespace {

using ::bibop::pkgraph::Dependency;
using ::bibop::pkgraph::Package;

void AppendLine(const Package& package, pkgraph::RelationKind kind,
                std::string& lines) {
  JsonWriter json;
  json.BeginObject().Key("package").String(package.name);
  json.Key("field").String(ToString(kind)).EndObject();
  absl::StrAppend(&lines, json.text(), "\n");
}

}  // namespace

Handle<MentionWalk> NewMentionWalk(Mutator& mutator, Handle<Package> package) {
  EscapableHandleScope scope(mutator);
  return scope.Escape(scope.New<MentionWalk>(package));
}

bool Advance(Mutator& mutator, Handle<MentionWalk> walk, size_t max_mentions,
             std::string& lines) {
  for (size_t i = 0; i < max_mentions && walk->at; ++i) {
    HandleScope scope(mutator);
    Handle<Dependency> dependency =
        scope.Local(walk->at->dependency).ToHandleChecked();
    walk->at = walk->at->next_naming_target;
    Handle<Package> package =
        scope.Local(dependency->version->package).ToHandleChecked();
    if (walk->seen.insert({package->id, dependency->kind}).second) {
      AppendLine(*package, dependency->kind, lines);
    }
  }
  return static_cast<bool>(walk->at);
}

}  // namespace bibop::pkgraphd
