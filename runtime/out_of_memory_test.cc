// What becomes of a collection that has no memory for itself.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"
#include "gtest/gtest.h"

namespace {

// Whether operator new has no more.
std::atomic<bool> new_fails = false;

}  // namespace

void* operator new(size_t size) {
  void* memory = new_fails ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return new_fails ? nullptr : std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept {
  std::free(memory);
}

namespace bibop {
namespace {

// A regression: the exception left the world stopped.
TEST(OutOfMemoryDeathTest, ACollectionWithoutMemoryEndsTheProgram) {
  auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  EXPECT_DEATH(
      {
        new_fails = true;
        try {
          heap->Collect();
        } catch (const std::bad_alloc&) {
          std::_Exit(0);
        }
      },
      "out of memory during a collection");
}

}  // namespace
}  // namespace bibop
