#include "bibop/handles/local_snapshot.h"

#include <atomic>
#include <cstddef>
#include <utility>

#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/marks.h"

namespace bibop {

void LocalSnapshot::ShadeNew(const void* object) {
  if (heap_.phase() != HeapPhase::kMarking) return;
  BlockDescriptor* block = Cage::DescriptorOf(object);
  const size_t index =
      block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(object)));
  // A marker may know the cell by an arbitrary word. It finds the mark (its
  // load is an acquire) and has nothing to do, or finds none and traces what is
  // there now.
  std::atomic_ref(block->marks[index])
      .store(kFreshMark, std::memory_order_release);
  Shade(object);
}

// Marks are looked at all together, when they have arrived: one at a time, each
// overwritten reference would wait for memory.
void LocalSnapshot::DropMarked() {
  for (size_t i = 0; i < count_; ++i) heap_.PrefetchMark(shaded_[i]);
  const size_t count = count_;
  count_ = 0;
  for (size_t i = 0; i < count; ++i) {
    shaded_[count_] = shaded_[i];
    count_ += heap_.IsMarked(shaded_[i]) ? 0 : 1;
  }
}

void LocalSnapshot::MakeRoom() {
  DropMarked();
  if (count_ > shaded_.size() / 2) Flush();
}

void LocalSnapshot::Flush() {
  DropMarked();
  MarkQueue::Batch batch(shaded_.begin(), shaded_.begin() + count_);
  heap_.mark_queue().Add(std::move(batch));
  count_ = 0;
}

}  // namespace bibop
