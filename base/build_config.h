// What the Bazel flags of this build say, as constants.
//
//   --//:checked_handles   kCheckedHandles: checks that cost time; freed cells
//   are zapped
//   --//:sealed_scopes     kSealedScopes: SealedHandleScope forbids new handles
//   --//:cage_size=SIZE    kCageSizeLog2: address space reserved for each heap
//
// Every translation unit of a program sees the same values: the flags reach the
// compiler as `defines` of the target that owns this header.

#ifndef BIBOP_BASE_BUILD_CONFIG_H_
#define BIBOP_BASE_BUILD_CONFIG_H_

#include <cstddef>

namespace bibop {

// Whether misuse is looked for at a cost in time: by default in `dbg` and under
// the sanitizers.
inline constexpr bool kCheckedHandles =
#ifdef BIBOP_CHECKED_HANDLES
    true;
#else
    false;
#endif

// Whether a SealedHandleScope forbids the creation of handles. Checked builds
// include it.
inline constexpr bool kSealedScopes =
#ifdef BIBOP_SEALED_SCOPES
    true;
#else
    kCheckedHandles;
#endif

// The base-2 logarithm of the bytes of address space that one heap reserves.
inline constexpr int kCageSizeLog2 = BIBOP_CAGE_SIZE_LOG2;

// The bytes of address space that one heap reserves, which is also the
// reservation's alignment.
inline constexpr size_t kCageSize = size_t{1} << kCageSizeLog2;

static_assert(sizeof(void*) == 8, "Bibop needs a 64-bit address space");
static_assert(kCageSizeLog2 >= 32 && kCageSizeLog2 <= 40);

}  // namespace bibop

#endif  // BIBOP_BASE_BUILD_CONFIG_H_
