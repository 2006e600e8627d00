#include "bibop/examples/pkgraphd/package_json.h"

#include <optional>
#include <string>
#include <vector>

#include "bibop/base/json_writer.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/queries.h"

namespace bibop::pkgraphd {
namespace {

using ::bibop::pkgraph::Dependency;
using ::bibop::pkgraph::Version;

void WriteVersion(const Version& version, JsonWriter& json) {
  json.BeginObject().Key("version").String(version.number);
  // Dependencies come by kind.
  const Dependency* dependency = version.dependencies.get();
  while (dependency != nullptr) {
    const pkgraph::RelationKind kind = dependency->kind;
    json.Key(ToString(kind)).BeginArray();
    for (; dependency != nullptr && dependency->kind == kind;
         dependency = dependency->next.get()) {
      json.String(ToString(*dependency));
    }
    json.EndArray();
  }
  json.EndObject();
}

}  // namespace

std::string PackageJson(const pkgraph::Package& package) {
  JsonWriter json;
  json.BeginObject().Key("package").String(package.name);
  json.Key("state").String(ToString(StateOf(package)));
  json.Key("versions").BeginArray();
  for (const Version* version = package.versions.get(); version != nullptr;
       version = version->next.get()) {
    WriteVersion(*version, json);
  }
  json.EndArray().EndObject();
  return json.text() + "\n";
}

std::string PathJson(const std::optional<std::vector<pkgraph::Hop>>& path) {
  JsonWriter json;
  json.BeginObject().Key("path");
  if (!path) {
    json.Null();
  } else {
    json.BeginArray();
    for (const pkgraph::Hop& hop : *path) {
      json.BeginObject().Key("from").String(hop.from);
      json.Key("field").String(ToString(hop.kind));
      json.Key("item").String(hop.item);
      json.Key("to").String(hop.to).EndObject();
    }
    json.EndArray();
  }
  json.EndObject();
  return json.text() + "\n";
}

}  // namespace bibop::pkgraphd
