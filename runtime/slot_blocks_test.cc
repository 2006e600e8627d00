// What the slots of handles take: memory that goes with the scopes.

#include <malloc.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>

#include "absl/base/config.h"
#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"
#include "gtest/gtest.h"

namespace {

// The memory that operator new gave and that was not given back. The heap's
// objects are not made with it; blocks of slots are.
std::atomic<int64_t> bytes_of_new = 0;
// Whether it has no more.
std::atomic<bool> new_fails = false;
// How often it was called.
std::atomic<int64_t> calls_of_new = 0;

void* Allocate(size_t size, size_t alignment) {
  if (new_fails) throw std::bad_alloc();
  void* memory = nullptr;
  ABSL_CHECK_EQ(posix_memalign(&memory, alignment, size), 0);
  bytes_of_new.fetch_add(static_cast<int64_t>(malloc_usable_size(memory)),
                         std::memory_order_relaxed);
  calls_of_new.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void Free(void* memory) {
  bytes_of_new.fetch_sub(static_cast<int64_t>(malloc_usable_size(memory)),
                         std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

void* operator new(size_t size) { return Allocate(size, 16); }
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept {
  return Allocate(size, 16);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return Allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { Free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  Free(memory);
}
void operator delete(void* memory, size_t /*size*/,
                     std::align_val_t /*alignment*/) noexcept {
  Free(memory);
}

namespace bibop {
namespace {

// What may be left of many handles: the blocks that are kept, with what malloc
// adds, and in checked builds some bytes for scopes.
constexpr int64_t kMostLeft =
    LocalHandles::kMostSpares * int64_t{LocalHandles::kBlockBytes} * 105 / 100 +
    1024;

// Larger than what a mutator has at hand, so that its allocation is slow.
struct Large {
  std::byte bytes[200'000];
};

class SlotBlocksTest : public ::testing::Test {
 protected:
  // A mutator without handles has one block.
  int64_t MoreThanAtFirst() const { return bytes_of_new - at_first_; }

  // Creates so many handles.
  static void Fill(HandleScope& scope, Handle<int> object, int64_t handles) {
    for (int64_t i = 0; i < handles; ++i) {
      static_cast<void>(scope.Local(object));
    }
  }

  std::unique_ptr<Heap> heap_ = Heap::Create({}).value();
  MutatorScope attached_{*heap_};
  Mutator& mutator_ = attached_;
  const int64_t at_first_ = bytes_of_new;
};

TEST_F(SlotBlocksTest, AScopeOfTenMillionHandlesGivesItsBlocksBack) {
  constexpr int64_t kHandles = 10'000'000;
  HandleScope outermost(mutator_);
  const Handle<int> object = outermost.New<int>(1);
  {
    HandleScope scope(mutator_);
    Fill(scope, object, kHandles);
    EXPECT_GE(MoreThanAtFirst(), kHandles * int64_t{sizeof(HandleSlot)});
    EXPECT_LE(MoreThanAtFirst(),
              kHandles * int64_t{sizeof(HandleSlot)} * 105 / 100);
    EXPECT_EQ(mutator_.handles().size(), kHandles + 1);
  }
  EXPECT_EQ(mutator_.handles().size(), 1u);
  outermost.New<Large>();
  EXPECT_LE(MoreThanAtFirst(), kMostLeft);
}

TEST_F(SlotBlocksTest, AParkedThreadKeepsFewBlocks) {
  {
    HandleScope scope(mutator_);
    Fill(scope, scope.New<int>(1), 1'000'000);
  }
  EXPECT_GT(MoreThanAtFirst(), kMostLeft);
  {
    ParkedScope parked(mutator_);
  }
  EXPECT_LE(MoreThanAtFirst(), kMostLeft);
}

// A handle takes memory at the end of a block.
TEST_F(SlotBlocksTest, WithoutMemoryAHandleThrowsAndNothingElseChanges) {
  HandleScope scope(mutator_);
  const Handle<int> object = scope.New<int>(1);
  Fill(scope, object, LocalHandles::kBlockSlots - 1);
  const size_t size = mutator_.handles().size();
  new_fails = true;
  bool local_threw = false;
  bool new_threw = false;
  try {
    static_cast<void>(scope.Local(object));
  } catch (const std::bad_alloc&) {
    local_threw = true;
  }
  try {
    scope.New<int>(2);
  } catch (const std::bad_alloc&) {
    new_threw = true;
  }
  new_fails = false;
  EXPECT_TRUE(local_threw);
  EXPECT_TRUE(new_threw);
  EXPECT_EQ(mutator_.handles().size(), size);
  EXPECT_EQ(*scope.New<int>(3), 3);
  EXPECT_EQ(mutator_.handles().size(), size + 1);
}

// Opens scopes inside of each other until there is no memory for one; returns
// how many.
int NestUntilItThrows(MutatorBase& mutator, int depth) {
  // More than the ledger has room for by doubling once.
  if (depth == 1000) return depth;
  try {
    HandleScope scope(mutator);
    return NestUntilItThrows(mutator, depth + 1);
  } catch (const std::bad_alloc&) {
    return depth;
  }
}

// Checked builds note each scope. One that was not opened was counted as open.
TEST_F(SlotBlocksTest, WithoutMemoryAScopeThrowsAndIsNotOpen) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  HandleScope scope(mutator_);
  new_fails = true;
  const int nested = NestUntilItThrows(mutator_, 0);
  new_fails = false;
  EXPECT_LT(nested, 1000);
  EXPECT_EQ(mutator_.handles().depth(), 1);
  EXPECT_EQ(*scope.New<int>(1), 1);
}

TEST_F(SlotBlocksTest, AMillionScopesTakeWhatOneTakes) {
  constexpr int kScopes = 1'000'000;
  HandleScope outermost(mutator_);
  const Handle<int> object = outermost.New<int>(1);
  int64_t most = 0;
  for (int i = 0; i < kScopes; ++i) {
    HandleScope scope(mutator_);
    Fill(scope, object, i % 1000 == 0 ? 1000 : 1);
    most = std::max(most, MoreThanAtFirst());
  }
  EXPECT_LE(most, kMostLeft);
}

TEST_F(SlotBlocksTest, ScopesAcrossTheEndOfABlockAllocateOnce) {
  HandleScope scope(mutator_);
  const Handle<int> object = scope.New<int>(1);
  Fill(scope, object, LocalHandles::kBlockSlots - 3);
  int64_t calls_at_first = 0;
  for (int i = 0; i < 1000; ++i) {
    HandleScope inner(mutator_);
    Fill(inner, object, 10);
    if (i == 0) calls_at_first = calls_of_new;
    ASSERT_EQ(calls_of_new, calls_at_first);
  }
}

// Opens `depth` scopes inside of each other, each with a handle, and returns
// the number of handles when all are open.
size_t Nest(MutatorBase& mutator, Handle<int> object, int depth) {
  if (depth == 0) return mutator.handles().size();
  HandleScope scope(mutator);
  const size_t size =
      Nest(mutator, scope.Local(object).ToHandleChecked(), depth - 1);
  ABSL_CHECK_EQ(*object, 1);
  return size;
}

TEST_F(SlotBlocksTest, AMillionScopesNest) {
  // ThreadSanitizer has a stack of its own, for 65,536 calls.
#ifdef ABSL_HAVE_THREAD_SANITIZER
  constexpr int kDepth = 10'000;
#else
  constexpr int kDepth = 1'000'000;
#endif
  const std::function<void()> body = [] {
    const std::unique_ptr<Heap> heap = Heap::Create({}).value();
    MutatorScope attached(*heap);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    EXPECT_EQ(Nest(mutator, scope.New<int>(1), kDepth), size_t{kDepth} + 1);
    EXPECT_EQ(mutator.handles().size(), 1u);
  };
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size_t{4} << 30), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* argument) -> void* {
                  (*static_cast<const std::function<void()>*>(argument))();
                  return nullptr;
                },
                const_cast<std::function<void()>*>(&body)),
            0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

}  // namespace
}  // namespace bibop
