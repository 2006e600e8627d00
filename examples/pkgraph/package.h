// The objects of the package graph: all of them live in the garbage-collected
// heap.
//
//   Package      refers to its Versions and to the Alternatives that name it
//   Version      to its Package and its Dependencies
//   Dependency   to its Version and its Alternatives
//   Alternative  to its Dependency and the Package that it names
//
// Every edge can be followed both ways, so the graph is cyclic through and
// through: reference counts would never free any of it. Here nobody frees
// anything. A graph is alive while a handle leads to it, and is garbage as a
// whole once none does.
//
// Lists are intrusive: an object has the `next` of each list that it is in.
//
// Fields are public, since these are passive records: graph.cc fills them in,
// and from then on they are only read. Not synchronized: one thread builds a
// graph; once it is built any number of threads may read it.

#ifndef BIBOP_EXAMPLES_PKGRAPH_PACKAGE_H_
#define BIBOP_EXAMPLES_PKGRAPH_PACKAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "bibop/gc.h"

namespace bibop::pkgraph {

struct Alternative;
struct Dependency;
struct Package;
struct Version;

// What a version says about other packages: the field that says it.
enum class RelationKind : uint8_t {
  kPreDepends,
  kDepends,
  kRecommends,
  kProvides,
  kConflicts,
};

// The relations, in the order in which answers list them.
inline constexpr RelationKind kRelationKinds[] = {
    RelationKind::kPreDepends, RelationKind::kDepends,
    RelationKind::kRecommends, RelationKind::kProvides,
    RelationKind::kConflicts,
};

// The name of the field, such as "Pre-Depends".
std::string_view ToString(RelationKind kind);

// A name, whether or not the index has a package of that name.
struct Package {
  // `id`: how many packages the graph had before this one.
  Package(std::string_view name, size_t id) : name(name), id(id) {}

  void Trace(auto& visitor) const {
    visitor(versions, named_by, next_in_bucket, next_in_graph);
  }

  const std::string name;
  // Dense, so that a query can keep notes about packages in a plain vector.
  const size_t id;

  Member<Version> versions;        // those in the index, the last one first
  Member<Alternative> named_by;    // every alternative that names this package
  Member<Package> next_in_bucket;  // of NameTable
  Member<Package> next_in_graph;   // of Graph
};

// A version of a package: one stanza of the index.
struct Version {
  Version(Handle<Package> package, std::string_view number)
      : number(number), package(package) {}

  void Trace(auto& visitor) const { visitor(package, dependencies, next); }

  const std::string number;  // such as "1:2.3-4"
  Member<Package> package;
  Member<Dependency> dependencies;  // by kind, then as the index has them
  Member<Version> next;             // of the package
};

// One item of a relation field: satisfied by any of its alternatives.
struct Dependency {
  Dependency(Handle<Version> version, RelationKind kind)
      : kind(kind), version(version) {}

  void Trace(auto& visitor) const { visitor(version, alternatives, next); }

  const RelationKind kind;
  Member<Version> version;           // that has this dependency
  Member<Alternative> alternatives;  // as the index has them
  Member<Dependency> next;           // of the version
};

// A package that a dependency names, and which versions of it would do.
struct Alternative {
  Alternative(Handle<Dependency> dependency, Handle<Package> target,
              std::string constraint)
      : constraint(std::move(constraint)),
        dependency(dependency),
        target(target) {}

  void Trace(auto& visitor) const {
    visitor(dependency, target, next, next_naming_target);
  }

  const std::string constraint;  // such as ">= 1.2"; empty if any version does
  Member<Dependency> dependency;
  Member<Package> target;
  Member<Alternative> next;                // of the dependency
  Member<Alternative> next_naming_target;  // of `target->named_by`
};

// What a name stands for.
enum class PackageState : uint8_t {
  kAvailable,  // the index has a version of it
  kVirtual,    // the index has only packages that provide it
  kMissing,    // other packages name it, and that is all
};

// The functions below read the graph and allocate nothing in it, so their
// thread comes to no safepoint while they run: for them a reference is as good
// as a handle.

// "available", "virtual" or "missing".
std::string_view ToString(PackageState state);

// What `package` stands for in its graph.
PackageState StateOf(const Package& package);

// The item as the index has it: "default-mta | mail-transport-agent (>= 2)".
std::string ToString(const Dependency& dependency);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_PACKAGE_H_
