// Where a root that is not on a stack came from, which checked builds note, and
// what is said of the roots that are left when their heap goes.

#ifndef BIBOP_HANDLES_ROOT_ORIGIN_H_
#define BIBOP_HANDLES_ROOT_ORIGIN_H_

#include <source_location>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace bibop {

// The type that a root was made for, as the compiler writes it, and the place
// in the program. Both live as long as the program.
struct RootOrigin {
  absl::string_view type;
  std::source_location place;
};

// A root that is left.
struct RemainingRoot {
  bool weak = false;
  RootOrigin origin;
};

// What to say of the roots that are left: how many Persistents and
// WeakPersistents, and a line for each type and place with their number, the
// largest first, at most 20 lines. Any thread may call it.
//
// REQUIRES: `roots` is not empty.
std::string DescribeRemainingRoots(absl::Span<const RemainingRoot> roots);

}  // namespace bibop

#endif  // BIBOP_HANDLES_ROOT_ORIGIN_H_
