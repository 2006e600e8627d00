// MentionWalk: the packages that name a package, found a part at a time.
//
// An object of the heap, as ClosureWalk is, and used like it.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_MENTION_WALK_H_
#define BIBOP_EXAMPLES_PKGRAPHD_MENTION_WALK_H_

#include <cstddef>
#include <string>
#include <utility>

#include "bibop/examples/pkgraph/package.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

struct MentionWalk {
  explicit MentionWalk(Handle<pkgraph::Package> package)
      : at(package->named_by) {}

  void Trace(auto& visitor) const { visitor(at, seen); }

  // The alternative to look at next, of those that name the package.
  Member<pkgraph::Alternative> at;
  // What was told of: Package::id and the RelationKind.
  FlatHashSet<std::pair<size_t, pkgraph::RelationKind>> seen;
};

// A walk along what names `package`. The handle is one of the caller's
// innermost scope.
Handle<MentionWalk> NewMentionWalk(Mutator& mutator,
                                   Handle<pkgraph::Package> package);

// Looks at up to `max_mentions` more alternatives that name the package, and
// appends to `lines` a JSON object, on a line of its own, for each package and
// field that was not told of before: the package's name and the field's.
// Returns false once all were looked at.
bool Advance(Mutator& mutator, Handle<MentionWalk> walk, size_t max_mentions,
             std::string& lines);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_MENTION_WALK_H_
