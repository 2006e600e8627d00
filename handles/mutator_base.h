// The part of a mutator that handles and references need: its slots, its
// allocator, its caches of slots for roots outside the stack, and what it
// overwrote during a mark. The mutator itself, which knows about collections,
// is in runtime/.
//
// Used by its thread, the one that made it, except where a function says so.
// The mutators of a thread, one for each heap that it is attached to, are a
// list.

#ifndef BIBOP_HANDLES_MUTATOR_BASE_H_
#define BIBOP_HANDLES_MUTATOR_BASE_H_

#include <cstddef>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/local_snapshot.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"

namespace bibop {

class MutatorBase {
 public:
  MutatorBase(const MutatorBase&) = delete;
  MutatorBase& operator=(const MutatorBase&) = delete;

  // The slots of this mutator's handles.
  LocalHandles& handles() { return handles_; }
  const LocalHandles& handles() const { return handles_; }
  // This mutator's regions.
  LocalAllocator& allocator() { return allocator_; }
  // The free slots that this mutator makes Persistents of.
  LocalRootSlots& root_slots() { return root_slots_; }
  // The free blocks that this thread makes AsyncHandleScopes of.
  LocalAsyncSlots& async_slots() { return async_slots_; }

  // What this mutator overwrote during a mark.
  LocalSnapshot& snapshot() { return snapshot_; }
  // The heap in which this mutator allocates.
  ObjectHeap& object_heap() const { return snapshot_.heap(); }

  // The calling thread's mutators: the one that was made last, or null, and the
  // one made before.
  static MutatorBase* LatestOfThisThread() { return latest_of_thread; }
  MutatorBase* next_of_thread() const { return next_of_thread_; }

  // Whether the thread may not touch the heap now.
  bool parked() const { return parked_; }

  // Returns a cell for an object of `type` that takes `size` bytes, `type.size`
  // or more, uninitialized, after whatever it takes: sweeping, more memory, a
  // collection. `id` is the type's number, or 0 if that is not known yet.
  // Returns ResourceExhausted if the heap stays full.
  virtual absl::StatusOr<void*> AllocateSlow(const TypeInfo& type, TypeId id,
                                             size_t size) = 0;

  // Begin and end a stretch in which the mutator causes no collection and stops
  // for none; they nest. See NoGcScope. Checked builds abort on another thread,
  // or while parked.
  void EnterNoGc() {
    handles_.CheckRunningHere("a NoGcScope");
    ++no_gc_;
  }
  void LeaveNoGc() { --no_gc_; }

  // What is open: scopes, such stretches, RunningScopes, and whether the thread
  // is parked.
  struct Open {
    LocalHandles::Extent handles;
    int no_gc;
    int running_scopes;
    bool parked;
    bool operator==(const Open&) const = default;
  };
  Open open() const {
    return {handles_.extent(), no_gc_, running_scopes_, parked_};
  }

  // Aborts in such a stretch: to be called where a collection may run.
  void CheckMayCollect() const {
    ABSL_CHECK(no_gc_ == 0)
        << "an allocation or a safepoint in a NoGcScope, which promises that "
           "no collection starts: allocate before it, or end it";
  }

  // Where the heap is full and no collection may run: lets it grow, if it may,
  // so that an object of `size` bytes may find room. Returns false if not.
  virtual bool GrowWithoutCollecting(size_t size) = 0;

  // Tells the program that an allocation that cannot return a status failed.
  [[noreturn]] virtual void OutOfMemory(const absl::Status& status) = 0;

 protected:
  MutatorBase(LocalAllocator allocator, HeapRoots& roots);
  // Aborts on another thread than the mutator's.
  ~MutatorBase();

  // Note that a RunningScope begins, and ends.
  void EnterRunning() { ++running_scopes_; }
  void LeaveRunning() { --running_scopes_; }

  // Notes that the thread may not touch the heap, or that it may again.
  void set_parked(bool parked) {
    parked_ = parked;
    root_slots_.set_parked(parked);
  }

 private:
  // Known to be constant at first, so that a look at it is one instruction and
  // no call.
  static constinit thread_local MutatorBase* latest_of_thread;

  LocalAllocator allocator_;
  LocalHandles handles_;
  // How many such stretches are open.
  int no_gc_ = 0;
  int running_scopes_ = 0;
  LocalSnapshot snapshot_;
  LocalRootSlots root_slots_;
  LocalAsyncSlots async_slots_;
  MutatorBase* next_of_thread_;
  bool parked_ = false;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_MUTATOR_BASE_H_
