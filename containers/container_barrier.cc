#include "bibop/containers/container_barrier.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_check.h"
#include "bibop/base/poison.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marking_visitor.h"

namespace bibop::internal {
namespace {

// This thread's mutator on the heap of `address`, or null.
MutatorBase* MutatorOf(const void* address) {
  MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && !mutator->object_heap().Contains(address)) {
    mutator = mutator->next_of_thread();
  }
  return mutator;
}

// The same, if the heap is being marked; else null.
MutatorBase* MarkedMutatorOf(const void* address) {
  MutatorBase* mutator = MutatorOf(address);
  // While a heap is being marked none of its objects' destructors runs.
  if (mutator == nullptr ||
      mutator->object_heap().phase() != HeapPhase::kMarking) {
    return nullptr;
  }
  ABSL_CHECK(!mutator->parked()) << "a container in the heap is used by a "
                                    "parked thread: end its ParkedScope first";
  return mutator;
}

// A part of memory, of whole words.
struct Words {
  const std::byte* start;
  const std::byte* end;
};

// The words in [start, start + size).
Words WordsIn(const void* start, size_t size) {
  constexpr uintptr_t kMask = sizeof(uintptr_t) - 1;
  const auto first = (reinterpret_cast<uintptr_t>(start) + kMask) & ~kMask;
  const auto last = (reinterpret_cast<uintptr_t>(start) + size) & ~kMask;
  return {reinterpret_cast<const std::byte*>(first),
          reinterpret_cast<const std::byte*>(std::max(first, last))};
}

// Calls `visit` with each object that a word points at or into.
template <class F>
void ForEachObjectIn(const ObjectHeap& heap, Words words, F visit) {
  for (; words.start != words.end; words.start += sizeof(uintptr_t)) {
    const std::optional<ObjectRef> found =
        heap.FindObject(ReadAnyWord(words.start));
    if (found.has_value()) visit(*found);
  }
}

// The stores that this thread has shown in a mark. A store that was shown was
// walked through then: what it leads to by way of other stores has been shown,
// too, and if its container has changed since, it has shown all it had before.
struct Shown {
  uint64_t mark = 0;
  absl::flat_hash_set<const std::byte*> stores;
};

// Shows the objects that `words` point at, and all stores that these lead to by
// way of other stores.
void Show(LocalSnapshot& snapshot, Words words) {
  thread_local Shown shown;
  const ObjectHeap& heap = snapshot.heap();
  if (shown.mark != heap.mark_number()) {
    shown.mark = heap.mark_number();
    // Not clear(), which may keep the memory.
    shown.stores = {};
  }
  std::vector<Words> to_walk;
  // The type of a cell that is about to be allocated may be null.
  const auto show_store = [&](const ObjectRef& object) {
    if (object.type == nullptr || !object.type->is_store) return;
    snapshot.Shade(object.start);
    if (object.type->trace == nullptr) return;
    if (!shown.stores.insert(object.start).second) return;
    to_walk.push_back(WordsIn(object.start, object.size));
  };
  ForEachObjectIn(heap, words, [&](const ObjectRef& object) {
    snapshot.Shade(object.start);
    show_store(object);
  });
  while (!to_walk.empty()) {
    const Words store = to_walk.back();
    to_walk.pop_back();
    ForEachObjectIn(heap, store, show_store);
  }
}

// This thread's mutator on the heap that a container is in whose elements are
// moved, or null. A destructor moves what dies with it.
MutatorBase* MoverFrom(const ContainerBarrier& container) {
  return IsBeingSwept(&container) ? nullptr : MutatorOf(&container);
}

// The words of the object that `allocator` is in that may be its container's.
Words WordsAround(const ObjectHeap& heap, const ContainerBarrier* allocator) {
  const auto* self = reinterpret_cast<const std::byte*>(allocator);
  const std::optional<ObjectRef> object =
      heap.FindObject(reinterpret_cast<uintptr_t>(allocator));
  ABSL_CHECK(object.has_value())
      << "a container is in an object that was dropped: does the Trace of the "
         "class that has it visit all it should?";
  const auto before =
      std::min<size_t>(self - object->start, kMostContainerBytes);
  const auto after = std::min<size_t>(object->start + object->size - self,
                                      sizeof(*allocator) + kMostContainerBytes);
  return WordsIn(self - before, before + after);
}

// Whether the word at `address` can be read: the kernel copies a signal mask
// before it looks whether it knows what to do with it. (Abseil's
// AddressIsReadable does the same.)
bool IsReadable(uintptr_t address) {
  constexpr int kUnknown = -1;
  const int saved_errno = errno;
  const bool readable =
      syscall(SYS_rt_sigprocmask, kUnknown, address & ~uintptr_t{7}, nullptr,
              sizeof(uintptr_t)) != -1 ||
      errno != EFAULT;
  errno = saved_errno;
  return readable;
}

// The same for an allocator that is elsewhere, as far as there is memory.
Words WordsAroundElsewhere(const ContainerBarrier* allocator) {
  constexpr uintptr_t kPage = 4096;
  const auto self = reinterpret_cast<uintptr_t>(allocator);
  const uintptr_t page = self & ~(kPage - 1);
  uintptr_t start = self - kMostContainerBytes;
  uintptr_t end = self + sizeof(*allocator) + kMostContainerBytes;
  if (start < page && !IsReadable(start)) start = page;
  if (end > page + kPage && !IsReadable(end - 1)) end = page + kPage;
  return WordsIn(reinterpret_cast<const void*>(start), end - start);
}

// Roots the stores that `words` point at, those that the words of these point
// at unless they are larger than `largest_link`, and so on.
void Root(MutatorBase& mutator, Words words, size_t largest_link) {
  const ObjectHeap& heap = mutator.object_heap();
  absl::flat_hash_set<const std::byte*> rooted;
  std::vector<Words> to_walk = {words};
  while (!to_walk.empty()) {
    Words at = to_walk.back();
    to_walk.pop_back();
    for (; at.start != at.end; at.start += sizeof(uintptr_t)) {
      const std::optional<ObjectRef> found =
          heap.FindLiveObject(ReadAnyWord(at.start));
      if (!found.has_value() || found->type == nullptr ||
          !found->type->is_store || !rooted.insert(found->start).second) {
        continue;
      }
      mutator.handles().ReserveForStore();
      mutator.handles().RootStore(found->start);
      mutator.snapshot().Shade(found->start);
      if (found->size <= largest_link) {
        to_walk.push_back(WordsIn(found->start, found->size));
      }
    }
  }
}

}  // namespace

void ContainerBarrier::ChangingSlow() const {
  const MutatorBase* mutator = MarkedMutatorOf(this);
  if (mutator == nullptr) return;
  const uint64_t mark = mutator->object_heap().mark_number();
  if ((shown_in() & ~kKeepsNode) != mark) {
    TakingSlow();
  }
}

void ContainerBarrier::TakingSlow() const {
  MutatorBase* mutator = MarkedMutatorOf(this);
  if (mutator == nullptr) return;
  const ObjectHeap& heap = mutator->object_heap();
  Show(mutator->snapshot(), WordsAround(heap, this));
  shown_in_.store((shown_in() & kKeepsNode) | heap.mark_number(),
                  std::memory_order_relaxed);
}

void ContainerBarrier::MovingFrom(const ContainerBarrier& other,
                                  size_t largest_link) const {
  MutatorBase* mutator = MoverFrom(other);
  if (mutator == nullptr || mutator->object_heap().Contains(this)) return;
  Root(*mutator, WordsAround(mutator->object_heap(), &other), largest_link);
}

void ContainerBarrier::KeepStores() const {
  MutatorBase* mutator = MoverFrom(*this);
  if (mutator == nullptr) return;
  Root(*mutator, WordsAround(mutator->object_heap(), this), 0);
}

void ContainerBarrier::MovedFrom(const ContainerBarrier& other,
                                 size_t largest_link) const {
  MutatorBase* mutator = MoverFrom(other);
  if (mutator == nullptr || mutator->object_heap().Contains(this)) return;
  Root(*mutator, WordsAroundElsewhere(this), largest_link);
}

void ContainerBarrier::DestroyingSlow(const void* element, size_t size,
                                      In in) const {
  ChangingSlow();
  MutatorBase* mutator = MarkedMutatorOf(element);
  if (mutator == nullptr) return;
  if (in == In::kNode) {
    Show(mutator->snapshot(), WordsIn(&element, sizeof(element)));
  }
  ForEachObjectIn(mutator->object_heap(), WordsIn(element, size),
                  [mutator](const ObjectRef& object) {
                    mutator->snapshot().Shade(object.start);
                  });
}

void ContainerBarrier::ReleasingSlow(const void* store) const {
  ChangingSlow();
  MutatorBase* mutator = MarkedMutatorOf(store);
  if (mutator != nullptr) mutator->snapshot().Shade(store);
}

void CopyingScope::ForbidCollections() {
  MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && mutator->parked()) {
    mutator = mutator->next_of_thread();
  }
  mutator_ = mutator;
  if (mutator != nullptr) mutator->EnterNoGc();
}

void CopyingScope::AllowCollections() {
  if (mutator_ != nullptr) mutator_->LeaveNoGc();
}

}  // namespace bibop::internal
