// What a heap tells about itself. Plain values, copied.

#ifndef BIBOP_RUNTIME_HEAP_STATS_H_
#define BIBOP_RUNTIME_HEAP_STATS_H_

#include <cstdint>

#include "absl/time/time.h"
#include "bibop/heap/heap_phase.h"

namespace bibop {

// Why a collection ran.
enum class CycleCause {
  kRequested,    // Heap::Collect or CollectSoon was called
  kBudgetSpent,  // so much was allocated since the last one
  kHeapFull,     // an allocation found no room
  kIdle,         // Heap::CollectWhenIdle was called
  kStress,       // HeapOptions::stress asked for it
};

// One collection. Bytes are those of cells: what objects take with the padding
// between them.
struct CycleStats {
  // The collection's number, from 1.
  int64_t cycle = 0;
  CycleCause cause = CycleCause::kRequested;
  // Whether all was looked at, or only what is young.
  CollectionKind kind = CollectionKind::kMajor;
  // What was allocated since the collection before.
  int64_t allocated_objects = 0;
  int64_t allocated_bytes = 0;
  // What was found alive, with what was allocated during the mark, and in a
  // minor collection with all that was old. An object that several markers
  // found at the same time counts for each.
  int64_t live_objects = 0;
  int64_t live_bytes = 0;
  // Of that, what was allocated during the mark.
  int64_t born_bytes = 0;
  // The cycle's pauses: how long the mutators were stopped, from the request to
  // their release. The first, and the longest of those that tried to end the
  // mark, which is zero if all was done in the first; and the sum of all.
  absl::Duration initial_pause = absl::ZeroDuration();
  absl::Duration final_pause = absl::ZeroDuration();
  absl::Duration pause = absl::ZeroDuration();
  // How long in these two pauses the pausing thread waited for a processor.
  absl::Duration initial_pause_descheduled = absl::ZeroDuration();
  absl::Duration final_pause_descheduled = absl::ZeroDuration();
  // The longest that it took the mutators to come to a safepoint, in a pause or
  // before the first one.
  absl::Duration time_to_safepoint = absl::ZeroDuration();
  // How many pauses tried to end the mark, after the first.
  int64_t finish_attempts = 0;
  // From the beginning of the mark to its end; mutators ran meanwhile, but for
  // the pauses.
  absl::Duration mark_time = absl::ZeroDuration();
  // How long the collecting thread swept, before the pause, what was left to
  // sweep.
  absl::Duration sweep_time = absl::ZeroDuration();
};

// A heap since it was made.
struct HeapStats {
  // The number of collections, and of the minor ones among them.
  int64_t cycles = 0;
  int64_t minor_cycles = 0;
  // What the last collection found alive; 0 before the first.
  int64_t live_objects = 0;
  int64_t live_bytes = 0;
  // What was allocated, without what is in the blocks that mutators are
  // allocating in now; exact after a collection.
  int64_t allocated_objects = 0;
  int64_t allocated_bytes = 0;
  // How many dead objects were swept: their destructors have run. Others are
  // dead and wait for it.
  int64_t freed_objects = 0;
  // The bytes of the blocks in use, free cells included. This and the next
  // three are of one moment.
  int64_t block_bytes = 0;
  // The bytes that may be read and written, tables included. What was never
  // touched, or was given back, takes no memory.
  int64_t committed_bytes = 0;
  // The bytes of blocks that are free and were not given back to the system.
  int64_t free_resident_bytes = 0;
  // What AdjustExternalBytes was told, summed.
  int64_t external_bytes = 0;
  // How often, and how long all together, threads waited for the heap's lock
  // when they needed cells, or adjusted external bytes, and others had it. The
  // time against that of all threads is what the contention costs. Not in it:
  // waits for a collection.
  int64_t lock_waits = 0;
  absl::Duration lock_wait_time = absl::ZeroDuration();
  // The sum and the longest of all pauses.
  absl::Duration total_pause = absl::ZeroDuration();
  absl::Duration max_pause = absl::ZeroDuration();
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_HEAP_STATS_H_
