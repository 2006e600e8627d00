#include "bibop/examples/pkgraphd/name_search.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "bibop/base/json_writer.h"
#include "bibop/examples/pkgraph/package.h"

namespace bibop::pkgraphd {

bool Advance(NameSearch& search, size_t max_packages) {
  pkgraph::Package* package = search.at.get();
  for (size_t i = 0; i < max_packages && package != nullptr;
       ++i, package = package->next_in_graph.get()) {
    if (!absl::StrContains(package->name, search.text)) continue;
    ++search.found;
    search.names.insert(package->name);
    if (search.names.size() > search.limit) {
      search.names.erase(std::prev(search.names.end()));
    }
  }
  search.at = Member<pkgraph::Package>(package);
  return package != nullptr;
}

std::string ToJson(const NameSearch& search) {
  JsonWriter json;
  json.BeginObject().Key("query").String(search.text);
  json.Key("found").Integer(static_cast<int64_t>(search.found));
  json.Key("packages").BeginArray();
  for (const std::string& name : search.names) json.String(name);
  json.EndArray().EndObject();
  return json.text() + "\n";
}

}  // namespace bibop::pkgraphd
