#include "bibop/handles/local_snapshot.h"

#include <utility>

#include "bibop/heap/mark_queue.h"

namespace bibop {

void LocalSnapshot::Flush() {
  MarkQueue::Batch batch(shaded_.begin(), shaded_.begin() + count_);
  heap_.mark_queue().Add(std::move(batch));
  count_ = 0;
}

}  // namespace bibop
