#include "bibop/handles/local_snapshot.h"

#include <atomic>
#include <cstddef>
#include <utility>

#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/mark_queue.h"

namespace bibop {

void LocalSnapshot::ShadeNew(const void* object) {
  if (heap_.phase() != HeapPhase::kMarking) return;
  BlockDescriptor* block = Cage::DescriptorOf(object);
  const size_t index =
      block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(object)));
  std::atomic_ref(block->marks[index]).store(0, std::memory_order_relaxed);
  Shade(object);
}

void LocalSnapshot::Flush() {
  MarkQueue::Batch batch(shaded_.begin(), shaded_.begin() + count_);
  heap_.mark_queue().Add(std::move(batch));
  count_ = 0;
}

}  // namespace bibop
