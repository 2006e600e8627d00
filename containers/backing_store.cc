#include "bibop/containers/backing_store.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>

#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/marking_visitor.h"

namespace bibop::internal {
namespace {

// How often it is tried to find room where others take what was made.
constexpr int kMostTries = 64;

// The mutator that allocates for the container.
MutatorBase& MutatorFor(const void* allocator) {
  MutatorBase* running = nullptr;
  for (MutatorBase* mutator = MutatorBase::LatestOfThisThread();
       mutator != nullptr; mutator = mutator->next_of_thread()) {
    if (mutator->object_heap().Contains(allocator)) {
      running = mutator->parked() ? nullptr : mutator;
      break;
    }
    if (running == nullptr && !mutator->parked()) running = mutator;
  }
  ABSL_CHECK(running != nullptr)
      << "a container with a bibop::Allocator grows on a thread that does not "
         "run in its heap: attach the thread by a MutatorScope, or end its "
         "ParkedScope first";
  return *running;
}

// The calling thread's mutator on the heap that `address` is in, or null.
MutatorBase* MutatorOf(const void* address) {
  MutatorBase* mutator = MutatorBase::LatestOfThisThread();
  while (mutator != nullptr && !mutator->object_heap().Contains(address)) {
    mutator = mutator->next_of_thread();
  }
  return mutator;
}

absl::StatusOr<void*> AllocateWithoutCollecting(MutatorBase& mutator,
                                                const TypeInfo& type, TypeId id,
                                                size_t size) {
  absl::StatusOr<void*> cell = mutator.allocator().AllocateSlow(type, id, size);
  if (cell.ok()) return cell;
  mutator.object_heap().SweepAll();
  cell = mutator.allocator().AllocateSlow(type, id, size);
  for (int i = 0; i < kMostTries && !cell.ok(); ++i) {
    if (!mutator.GrowWithoutCollecting(size)) break;
    cell = mutator.allocator().AllocateSlow(type, id, size);
  }
  return cell;
}

// Stale words would keep objects alive. The cell's padding is looked at, too.
void ClearCell(void* cell, size_t size) {
  std::memset(cell, 0, size);
  std::byte* padding = static_cast<std::byte*>(cell) + size;
  const size_t padding_size = Cage::DescriptorOf(cell)->cell_size - size;
  UnpoisonForObject(padding, padding_size);
  std::memset(padding, 0, padding_size);
  PoisonUnused(padding, padding_size);
}

}  // namespace

void TraceStore(const void* store, MarkingVisitor& visitor) noexcept {
  visitor.VisitWords(store, Cage::DescriptorOf(store)->cell_size);
}

void* AllocateStore(const void* allocator, const TypeInfo& type, TypeId id,
                    size_t size, MayCollect may_collect) {
  MutatorBase& mutator = MutatorFor(allocator);
  // Before there is a store: it may throw std::bad_alloc.
  mutator.handles().ReserveForStore();
  const absl::StatusOr<void*> cell =
      may_collect == MayCollect::kYes
          ? mutator.AllocateSlow(type, id, size)
          : AllocateWithoutCollecting(mutator, type, id, size);
  if (!cell.ok()) mutator.OutOfMemory(cell.status());
  if (type.trace != nullptr) ClearCell(*cell, size);
  mutator.handles().RootStore(*cell);
  return *cell;
}

void RootStoreOf(const void* element) {
  MutatorBase* mutator = MutatorOf(element);
  if (mutator == nullptr) return;
  const std::optional<ObjectRef> store =
      mutator->object_heap().FindObject(reinterpret_cast<uintptr_t>(element));
  if (!store.has_value()) return;
  mutator->handles().ReserveForStore();
  mutator->handles().RootStore(store->start);
}

void ReleaseStore(const void* store) {
  MutatorBase* mutator = MutatorOf(store);
  // A background thread may be sweeping the container's object.
  if (mutator == nullptr) return;
  if constexpr (kCheckedHandles) {
    const std::optional<ObjectRef> found =
        mutator->object_heap().FindObject(reinterpret_cast<uintptr_t>(store));
    ABSL_CHECK(found.has_value() && found->start == store &&
               found->type->is_store)
        << "the memory of a container was dropped while the container was "
           "still in use: does the Trace of its class visit it? If it is no "
           "field, did the scope close in which it grew?";
  }
  mutator->handles().ReleaseStore(store);
}

void ThrowBadArrayNewLength() { throw std::bad_array_new_length(); }

}  // namespace bibop::internal
