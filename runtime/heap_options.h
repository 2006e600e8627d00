// HeapOptions: what a heap is told when it is made.

#ifndef BIBOP_RUNTIME_HEAP_OPTIONS_H_
#define BIBOP_RUNTIME_HEAP_OPTIONS_H_

#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "bibop/heap/cage.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {

// How much of a collection happens while mutators run.
enum class CollectionMode {
  // All but two short pauses: threads of the heap mark beside the mutators.
  kConcurrent,
  // The same without a thread that marks: mutators do it, a step at a time. For
  // machines with one processor.
  kIncremental,
  // Nothing: one pause, whose length grows with what is alive. Takes the least
  // time in all.
  kStopTheWorld,
};

// By which rule a heap grows that has much alive.
enum class Pacing {
  // With what is alive: HeapOptions::growth_factor.
  kGrowthFactor,
  // With the square root of what is alive times how fast the program allocates,
  // over how fast objects are marked, so that of several heaps, or times, those
  // get the memory that save most by it: HeapOptions::processors_per_gib.
  kSquareRoot,
};

struct HeapOptions {
  // How much of a collection happens while mutators run.
  CollectionMode mode = CollectionMode::kConcurrent;

  // How many threads mark in concurrent mode: 1 to 256, or 0 for a quarter of
  // the processors, but at least one.
  int markers = 0;

  // A thread that keeps a collection, and so all threads, waiting longer than
  // this is named in the log. 1 ms to InfiniteDuration().
  absl::Duration safepoint_warning = absl::Milliseconds(100);

  // The most bytes that the blocks of the heap and external bytes (see
  // Heap::AdjustExternalBytes) may take together: 1 MiB (2^20) to
  // Cage::kCapacity, which is 7/8 of what --//:cage_size says. An allocation
  // that would need more runs a collection, and fails if that did not help.
  size_t max_bytes = Cage::kCapacity;

  // A soft limit of the same bytes: up to it the heap grows as said below, and
  // near it collections are due sooner. Beyond it, it grows only where a major
  // collection, for which the allocating threads wait, has not made room, or
  // little and such collections take most of the time: so a heap with nearly as
  // much alive gets slower, and exceeds it a little, and one with more does.
  // So do external bytes that no mutator tells of, who could not wait.
  // Free blocks count while they have memory. 1 MiB to Cage::kCapacity; more
  // than max_bytes is max_bytes. 0: nine tenths of what the process's control
  // group may use (memory.max of cgroup v2, of the group and those around it),
  // which each heap of a process takes for its own, or max_bytes where that is
  // not said.
  size_t soft_limit_bytes = 0;

  // How many bytes are allocated between two collections, external bytes
  // included, not counting the at most 256 KiB of each type on each thread that
  // the heap was not told of yet:
  //
  //   alive after the last collection   budget
  //   little                            min_budget_bytes for each thread, but
  //                                     for several not over small_heap_bytes
  //   more                              eight times as much as is alive
  //   from small_heap_bytes / 9         what is alive and the budget together
  //                                     are small_heap_bytes
  //   from small_heap_bytes / 2         alive * (growth_factor - 1)
  //
  // (The last line for a growth_factor of 2; by kSquareRoot it is another, and
  // holds wherever it is more.) A program whose objects die young so allocates
  // in memory that is still in its processor's cache; one with more alive has
  // fewer collections, whose cost grows with what is alive. With as much alive
  // as in the last line, one that runs beside the program begins earlier, so
  // that it ends when the budget is spent. If the budget is more than the heap
  // has room for, a collection runs when the heap is full.
  //
  // Both 64 KiB to Cage::kCapacity; the first is by default two second-level
  // caches: no slower than one, and half as many collections.
  size_t min_budget_bytes = size_t{2} << 20;
  size_t small_heap_bytes = size_t{45} << 20;
  Pacing pacing = Pacing::kGrowthFactor;
  // 1.1 to 16.
  double growth_factor = 2.0;
  // For kSquareRoot, which is not for incremental mode, where the time of a
  // mark is mostly the program's: the price of memory: the heap gets another
  // GiB where that saves so much of a processor's time, about. 0.001 to 1000.
  double processors_per_gib = 0.5;

  // Whether there are minor collections, between two others: they look only at
  // what is young, which fewer than two collections have found, and at the old
  // objects that references were stored in lately. They take a fraction of the
  // time where most objects die young. A minor collection keeps every old
  // object; its garbage is found by a major one, which runs when what has
  // become old since the last has used up two thirds of the budget above, or
  // when the last minor one traced more than major ones would have for as much
  // allocation. Each store of a reference takes a few instructions more, in all
  // heaps of the process. 256 GiB more of address space are mapped, readable
  // and writable: Heap::Create returns ResourceExhausted where the system
  // overcommits no memory (vm.overcommit_memory=2).
  bool generations = false;
  // How many bytes are allocated between two minor collections, at most, and as
  // long as the budget above allows it. 64 KiB to Cage::kCapacity. The default
  // fits into a third-level cache; more took more memory and was not faster.
  size_t young_bytes = size_t{16} << 20;

  // How fast the memory of free blocks goes back to the operating system: half
  // of what is not needed in each such time, but nothing before it was not
  // needed for four such times, or for two seconds if that is less, and then
  // what is overdue. 0, which means in 40 ms, to 1 hour, or InfiniteDuration(),
  // which means never unless max_bytes is near.
  absl::Duration decommit_half_life = absl::Milliseconds(750);

  // In builds with --//:checked_handles: a HandleScope that gets more handles
  // aborts, for it probably grows in a loop. 0 is no limit.
  size_t max_handles_per_scope = 0;

  // For tests: what the heap does to make bugs show. The environment variable
  // BIBOP_STRESS adds to it.
  StressOptions stress = {};

  // Called after each collection, where set, on the thread that ran it, which
  // may be one of the heap's. It may neither allocate in the heap nor collect:
  // a collection that it causes aborts. What it throws is logged and dropped.
  std::function<void(const CycleStats&)> on_cycle_end = nullptr;

  // Called, where set, when an allocation that cannot return a status fails
  // even after a collection, on the allocating thread, with the reason. It may
  // throw (std::bad_alloc, for example): the allocation then leaves nothing
  // behind. If it returns, or is not set, the program aborts.
  std::function<void(const absl::Status&)> on_out_of_memory = nullptr;
};

// Returns InvalidArgument, with the option's name and the accepted range, if an
// option is out of its range.
absl::Status Validate(const HeapOptions& options);

}  // namespace bibop

#endif  // BIBOP_RUNTIME_HEAP_OPTIONS_H_
