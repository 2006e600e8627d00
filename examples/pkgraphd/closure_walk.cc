#include "bibop/examples/pkgraphd/closure_walk.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "bibop/base/json_writer.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {
namespace {

using ::bibop::pkgraph::Alternative;
using ::bibop::pkgraph::Package;

void AppendLine(const Package& package, size_t distance, std::string& lines) {
  JsonWriter json;
  json.BeginObject().Key("package").String(package.name);
  json.Key("state").String(ToString(StateOf(package)));
  json.Key("distance").Integer(static_cast<int64_t>(distance)).EndObject();
  absl::StrAppend(&lines, json.text(), "\n");
}

}  // namespace

Handle<ClosureWalk> NewClosureWalk(Mutator& mutator, Handle<Package> start,
                                   pkgraph::Follow follow) {
  EscapableHandleScope scope(mutator);
  Handle<ClosureWalk> walk = scope.New<ClosureWalk>(follow);
  walk->queue.push_back(start);
  walk->seen.insert(start->id);
  return scope.Escape(walk);
}

bool Advance(Mutator& mutator, Handle<ClosureWalk> walk, size_t max_packages,
             std::string& lines) {
  for (size_t i = 0; i < max_packages && walk->next < walk->queue.size(); ++i) {
    HandleScope scope(mutator);
    Handle<Package> package =
        scope.Local(walk->queue[walk->next]).ToHandleChecked();
    if (walk->next == walk->level_end) {
      ++walk->distance;
      walk->level_end = walk->queue.size();
    }
    ++walk->next;
    if (walk->distance > 0) AppendLine(*package, walk->distance, lines);
    ForEachEdge(mutator, package, walk->follow,
                [&](Handle<Package> to, Handle<Alternative> /*via*/) {
                  if (walk->seen.insert(to->id).second) {
                    walk->queue.push_back(to);
                  }
                });
  }
  return walk->next < walk->queue.size();
}

}  // namespace bibop::pkgraphd
