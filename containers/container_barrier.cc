#include "bibop/containers/container_barrier.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/marking_visitor.h"

namespace bibop::internal {
namespace {

// This thread's mutator on the heap of `address`, if that is being marked; else
// null.
MutatorBase* MarkedMutatorOf(const void* address) {
  MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && !mutator->object_heap().Contains(address)) {
    mutator = mutator->next_of_thread();
  }
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

}  // namespace

void ContainerBarrier::ChangingSlow() const {
  const MutatorBase* mutator = MarkedMutatorOf(this);
  if (mutator == nullptr) return;
  const uint64_t mark = mutator->object_heap().mark_number();
  if ((shown_in_.load(std::memory_order_relaxed) & ~kReusing) != mark) {
    TakingSlow();
  }
}

void ContainerBarrier::TakingSlow() const {
  MutatorBase* mutator = MarkedMutatorOf(this);
  if (mutator == nullptr) return;
  const ObjectHeap& heap = mutator->object_heap();
  const auto* self = reinterpret_cast<const std::byte*>(this);
  const std::optional<ObjectRef> object =
      heap.FindObject(reinterpret_cast<uintptr_t>(this));
  ABSL_CHECK(object.has_value())
      << "a container is in an object that was dropped: does the Trace of the "
         "class that has it visit all it should?";
  // The container is in an object, and around its allocator.
  const auto before =
      std::min<size_t>(self - object->start, kMostContainerBytes);
  const auto after = std::min<size_t>(object->start + object->size - self,
                                      sizeof(*this) + kMostContainerBytes);
  Show(mutator->snapshot(), WordsIn(self - before, before + after));
  const uint64_t reusing = shown_in_.load(std::memory_order_relaxed) & kReusing;
  shown_in_.store(reusing | heap.mark_number(), std::memory_order_relaxed);
}

void ContainerBarrier::DestroyingSlow(const void* element, size_t size) const {
  ChangingSlow();
  MutatorBase* mutator = MarkedMutatorOf(element);
  if (mutator == nullptr) return;
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

CopyingScope::CopyingScope() {
  ++copying_elements;
  if constexpr (kCheckedHandles) {
    MutatorBase* mutator = MutatorBase::LatestOfThisThread();
    while (mutator != nullptr && mutator->parked()) {
      mutator = mutator->next_of_thread();
    }
    mutator_ = mutator;
    if (mutator != nullptr) mutator->EnterNoGc();
  }
}

CopyingScope::~CopyingScope() {
  --copying_elements;
  if (mutator_ != nullptr) mutator_->LeaveNoGc();
}

}  // namespace bibop::internal
