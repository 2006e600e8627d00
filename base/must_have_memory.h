// For work that cannot be given up half-way, because others wait for it: parts
// of a collection.

#ifndef BIBOP_BASE_MUST_HAVE_MEMORY_H_
#define BIBOP_BASE_MUST_HAVE_MEMORY_H_

#include <new>

namespace bibop {

namespace internal {

// Ends the program and says why.
[[noreturn]] void DieOutOfMemory() noexcept;

}  // namespace internal

// Returns what `work` returns. If that throws the program ends: for want of
// memory (std::bad_alloc) with a sentence. Any thread may call it.
template <class F>
auto MustHaveMemory(F work) noexcept {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    internal::DieOutOfMemory();
  }
}

}  // namespace bibop

#endif  // BIBOP_BASE_MUST_HAVE_MEMORY_H_
