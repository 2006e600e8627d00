#include "bibop/examples/pkgraph/graph.h"

#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraph/control_file.h"
#include "bibop/examples/pkgraph/dependency.h"
#include "bibop/examples/pkgraph/name_table.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/quoted.h"
#include "bibop/gc.h"

namespace bibop::pkgraph {
namespace {

// Adds `item` to the list that starts at `first` and ends at `last`.
template <typename T>
void Append(Member<T>& first, MutableHandle<T>& last, Handle<T> item) {
  if (last) {
    last->next = item;
  } else {
    first = item;
  }
  last = item;
}

Handle<Package> FindOrAddPackage(Mutator& mutator, Handle<Graph> graph,
                                 std::string_view name) {
  EscapableHandleScope scope(mutator);
  Handle<NameTable> names = scope.Local(graph->names).ToHandleChecked();
  MaybeHandle<Package> found = FindPackage(scope, names, name);
  if (!found.IsEmpty()) return scope.Escape(found.ToHandleChecked());

  Handle<Package> package = scope.New<Package>(name, graph->package_count++);
  InsertPackage(mutator, names, package);
  if (graph->last) {
    graph->last->next_in_graph = package;
  } else {
    graph->first = package;
  }
  graph->last = package;
  return scope.Escape(package);
}

Handle<Dependency> NewDependency(Mutator& mutator, Handle<Graph> graph,
                                 Handle<Version> version, RelationKind kind,
                                 const ParsedDependency& parsed) {
  EscapableHandleScope scope(mutator);
  Handle<Dependency> dependency = scope.New<Dependency>(version, kind);
  MutableHandle<Alternative> last = scope.Mutable<Alternative>();
  for (const ParsedAlternative& choice : parsed) {
    HandleScope inner(mutator);
    Handle<Package> target = FindOrAddPackage(mutator, graph, choice.package);
    std::string constraint =
        choice.version.empty()
            ? std::string()
            : absl::StrCat(choice.comparison, " ", choice.version);
    Handle<Alternative> alternative =
        inner.New<Alternative>(dependency, target, std::move(constraint));
    alternative->next_naming_target = target->named_by;
    target->named_by = alternative;
    Append(dependency->alternatives, last, alternative);
    ++graph->alternative_count;
  }
  return scope.Escape(dependency);
}

// Adds the relations of one kind to `version`, behind `last`.
absl::Status AddRelations(Mutator& mutator, Handle<Graph> graph,
                          Handle<Version> version, RelationKind kind,
                          const Stanza& stanza,
                          MutableHandle<Dependency>& last) {
  const auto field = stanza.Find(ToString(kind));
  if (!field) return absl::OkStatus();
  const absl::StatusOr<std::vector<ParsedDependency>> dependencies =
      ParseDependencies(field->value);
  if (!dependencies.ok()) {
    return stanza.ErrorAt(
        field->line,
        absl::StrCat(field->name, ": ", dependencies.status().message()));
  }
  for (const ParsedDependency& parsed : *dependencies) {
    HandleScope scope(mutator);
    Append(version->dependencies, last,
           NewDependency(mutator, graph, version, kind, parsed));
    ++graph->dependency_count;
  }
  return absl::OkStatus();
}

// Whether the stanza is about a package of which dpkg has no version.
bool IsNotInstalled(const Stanza& stanza) {
  const auto status = stanza.Find("Status");
  return status && absl::EndsWith(status->value, "not-installed");
}

// The value of a field that the stanza has to have.
absl::StatusOr<std::string_view> Required(const Stanza& stanza,
                                          std::string_view name) {
  const auto field = stanza.Find(name);
  if (!field || field->value.empty()) {
    return stanza.ErrorAt(
        stanza.line(), absl::StrCat("the stanza that starts here has no ", name,
                                    ": is the file complete?"));
  }
  return field->value;
}

}  // namespace

Handle<Graph> NewGraph(Mutator& mutator) {
  EscapableHandleScope scope(mutator);
  return scope.Escape(scope.New<Graph>(scope.New<NameTable>()));
}

absl::Status AddStanza(Mutator& mutator, Handle<Graph> graph,
                       const Stanza& stanza) {
  const absl::StatusOr<std::string_view> name = Required(stanza, "Package");
  if (!name.ok()) return name.status();
  if (!IsPackageName(*name)) {
    return stanza.ErrorAt(
        stanza.Find("Package")->line,
        absl::StrCat(Quoted(*name), " is not the name of a package"));
  }
  HandleScope scope(mutator);
  Handle<Package> package = FindOrAddPackage(mutator, graph, *name);
  if (IsNotInstalled(stanza)) return absl::OkStatus();

  for (std::string_view field : {"Version", "Architecture"}) {
    const absl::StatusOr<std::string_view> value = Required(stanza, field);
    if (!value.ok()) return value.status();
  }
  Handle<Version> version =
      scope.New<Version>(package, stanza.Find("Version")->value);
  version->next = package->versions;
  package->versions = version;
  ++graph->version_count;

  MutableHandle<Dependency> last = scope.Mutable<Dependency>();
  for (RelationKind kind : kRelationKinds) {
    const absl::Status added =
        AddRelations(mutator, graph, version, kind, stanza, last);
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

absl::StatusOr<Handle<Graph>> LoadGraph(Mutator& mutator, std::istream& input,
                                        std::string file) {
  EscapableHandleScope scope(mutator);
  Handle<Graph> graph = NewGraph(mutator);
  ControlFileReader reader(input, file);
  while (true) {
    const absl::StatusOr<const Stanza*> stanza = reader.Next();
    if (!stanza.ok()) return stanza.status();
    if (*stanza == nullptr) break;
    const absl::Status added = AddStanza(mutator, graph, **stanza);
    if (!added.ok()) return added;
  }
  if (graph->package_count == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":1: the file has no package"));
  }
  return scope.Escape(graph);
}

}  // namespace bibop::pkgraph
