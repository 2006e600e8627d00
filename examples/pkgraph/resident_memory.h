// How much physical memory this process has, as the operating system counts it.
//
// Any thread may call these.

#ifndef BIBOP_EXAMPLES_PKGRAPH_RESIDENT_MEMORY_H_
#define BIBOP_EXAMPLES_PKGRAPH_RESIDENT_MEMORY_H_

#include <cstdint>

namespace bibop::pkgraph {

// The bytes resident now; 0 where /proc does not tell.
int64_t ResidentBytes();

// The most bytes that have been resident at once since the process started.
int64_t PeakResidentBytes();

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_RESIDENT_MEMORY_H_
