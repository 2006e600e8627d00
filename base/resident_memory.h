// How much physical memory this process has, as the operating system counts it.
//
// Any thread may call these.

#ifndef BIBOP_BASE_RESIDENT_MEMORY_H_
#define BIBOP_BASE_RESIDENT_MEMORY_H_

#include <cstdint>

namespace bibop {

// The bytes resident now; 0 where /proc does not tell.
int64_t ResidentBytes();

// The most bytes that have been resident at once since the process started.
int64_t PeakResidentBytes();

}  // namespace bibop

#endif  // BIBOP_BASE_RESIDENT_MEMORY_H_
