// Marks memory that no live object occupies, so that a use of it is noticed.
//
// Under AddressSanitizer such memory is poisoned and an access is reported at
// once; under MemorySanitizer, and under valgrind in checked builds, what is
// read before it is written is reported. In other checked builds, and once
// ClobberFreedMemory was called, freed memory is overwritten with kZapByte, so
// that a dangling pointer reads a value that cannot be taken for data.
// Otherwise these functions do nothing. Any thread may call them on memory that
// it owns.

#ifndef BIBOP_BASE_POISON_H_
#define BIBOP_BASE_POISON_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/base/attributes.h"
#include "absl/base/config.h"
#include "bibop/base/build_config.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif
#ifdef ABSL_HAVE_MEMORY_SANITIZER
#include <sanitizer/msan_interface.h>
#endif
// valgrind's requests are a few instructions that do nothing elsewhere.
#if defined(BIBOP_CHECKED_HANDLES) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define BIBOP_TELLS_VALGRIND 1
#endif

namespace bibop {

// Fills freed cells, where they are overwritten. Repeated, it is a
// non-canonical address on x86-64: following a pointer that was read from a
// freed cell faults.
inline constexpr uint8_t kZapByte = 0xD5;

// The alignment of what can be marked.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
inline constexpr size_t kPoisonGranularity = 8;
#else
inline constexpr size_t kPoisonGranularity = 1;
#endif

namespace internal {

// Whether freed memory is overwritten although this build does not. Set before
// the heap that wants it has objects, read when some are freed: relaxed.
inline constinit std::atomic<bool> clobbers_freed_memory = false;

}  // namespace internal

// Has freed memory overwritten from now on, in every build. Any thread may call
// it.
inline void ClobberFreedMemory() {
  internal::clobbers_freed_memory.store(true, std::memory_order_relaxed);
}

// Whether freed memory is marked at all.
inline bool PoisonsFreedMemory() {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  return true;
#else
  return kCheckedHandles ||
         internal::clobbers_freed_memory.load(std::memory_order_relaxed);
#endif
}

// Says that no object was ever in [start, start + size).
inline void PoisonUnused([[maybe_unused]] void* start,
                         [[maybe_unused]] size_t size) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_poison_memory_region(start, size);
#endif
#ifdef BIBOP_TELLS_VALGRIND
  VALGRIND_MAKE_MEM_NOACCESS(start, size);
#endif
}

// Says that [start, start + size) no longer holds an object.
inline void PoisonFreed([[maybe_unused]] void* start,
                        [[maybe_unused]] size_t size) {
#ifdef BIBOP_TELLS_VALGRIND
  // The padding behind the object was never accessible.
  VALGRIND_MAKE_MEM_UNDEFINED(start, size);
#endif
#ifndef ABSL_HAVE_ADDRESS_SANITIZER
  if (PoisonsFreedMemory()) std::memset(start, kZapByte, size);
#endif
  PoisonUnused(start, size);
}

// Says that [start, start + size) is about to hold an object, uninitialized.
inline void UnpoisonForObject([[maybe_unused]] void* start,
                              [[maybe_unused]] size_t size) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(start, size);
#endif
#ifdef ABSL_HAVE_MEMORY_SANITIZER
  __msan_allocated_memory(start, size);
#endif
#ifdef BIBOP_TELLS_VALGRIND
  VALGRIND_MAKE_MEM_UNDEFINED(start, size);
#endif
}

// Reads a word of memory that may be part of any type, or of several, that may
// not have been written, that may be poisoned, and that another thread may be
// writing: unused room in a container, for example.
ABSL_ATTRIBUTE_NO_SANITIZE_MEMORY ABSL_ATTRIBUTE_NO_SANITIZE_THREAD
    ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS inline uintptr_t
    ReadAnyWord(const void* at) {
  using AnyWord [[gnu::may_alias]] = uintptr_t;
#ifdef BIBOP_TELLS_VALGRIND
  VALGRIND_DISABLE_ERROR_REPORTING;
#endif
  uintptr_t word = *static_cast<const volatile AnyWord*>(at);
#ifdef BIBOP_TELLS_VALGRIND
  VALGRIND_ENABLE_ERROR_REPORTING;
  VALGRIND_MAKE_MEM_DEFINED(&word, sizeof(word));
#endif
  return word;
}

// Says that [start, start + size) may be given back to the operating system.
inline void UnpoisonForSystem([[maybe_unused]] void* start,
                              [[maybe_unused]] size_t size) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(start, size);
#endif
#ifdef BIBOP_TELLS_VALGRIND
  VALGRIND_MAKE_MEM_NOACCESS(start, size);
#endif
}

}  // namespace bibop

#endif  // BIBOP_BASE_POISON_H_
