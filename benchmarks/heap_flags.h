// Flags that every benchmark of a heap takes, for what HeapOptions says:
//
//   --generations=true        minor collections
//   --young_mib=32            MiB allocated between two of them
//   --growth_factor=2         how far it grows
//   --processors_per_gib=0.5  that by the square root rule, at this price
//   --soft_limit_mib=0        how far it should not
//   --markers=0               threads that mark

#ifndef BIBOP_BENCHMARKS_HEAP_FLAGS_H_
#define BIBOP_BENCHMARKS_HEAP_FLAGS_H_

#include "absl/status/status.h"
#include "bibop/runtime/heap_options.h"

namespace bibop::benchmarks {

// Returns InvalidArgument if a flag is out of its range.
absl::Status CheckHeapFlags();

// The options that the flags ask for, and otherwise the defaults.
HeapOptions HeapOptionsFromFlags();

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_HEAP_FLAGS_H_
