// Marks memory that no live object occupies, so that a use of it is noticed.
//
// Under AddressSanitizer freed memory is poisoned and an access is reported at
// once. In other checked builds it is overwritten with kZapByte, so that a
// dangling pointer reads a value that cannot be taken for data. Otherwise these
// functions do nothing. Any thread may call them on memory that it owns.

#ifndef BIBOP_BASE_POISON_H_
#define BIBOP_BASE_POISON_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/base/config.h"
#include "bibop/base/build_config.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace bibop {

// Fills freed cells in checked builds. Repeated, it is a non-canonical address
// on x86-64: following a pointer that was read from a freed cell faults.
inline constexpr uint8_t kZapByte = 0xD5;

// Whether freed memory is marked in this build at all.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
inline constexpr bool kPoisonsFreedMemory = true;
#else
inline constexpr bool kPoisonsFreedMemory = kCheckedHandles;
#endif

// Says that [start, start + size) holds no object.
inline void PoisonFreed([[maybe_unused]] void* start,
                        [[maybe_unused]] size_t size) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_poison_memory_region(start, size);
#else
  if constexpr (kCheckedHandles) std::memset(start, kZapByte, size);
#endif
}

// Says that [start, start + size) is about to hold an object, or is memory that
// may be given back to the operating system.
inline void Unpoison([[maybe_unused]] void* start,
                     [[maybe_unused]] size_t size) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(start, size);
#endif
}

}  // namespace bibop

#endif  // BIBOP_BASE_POISON_H_
