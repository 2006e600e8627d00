// The part of a mutator that handles need: its slots, its allocator, and its
// cache of slots for roots outside the stack. The
// mutator itself, which knows about collections, is in runtime/.

#ifndef BIBOP_HANDLES_MUTATOR_BASE_H_
#define BIBOP_HANDLES_MUTATOR_BASE_H_

#include <cstddef>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/local_allocator.h"
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

  // Aborts in such a stretch: to be called where a collection may run.
  void CheckMayCollect() const {
    ABSL_CHECK(no_gc_ == 0)
        << "an allocation or a safepoint in a NoGcScope, which promises that "
           "no collection starts: allocate before it, or end it";
  }

  // Tells the program that an allocation that cannot return a status failed.
  [[noreturn]] virtual void OutOfMemory(const absl::Status& status) = 0;

 protected:
  MutatorBase(LocalAllocator allocator, RootSlotPool& roots)
      : allocator_(std::move(allocator)), root_slots_(roots) {}
  ~MutatorBase() = default;

 private:
  LocalAllocator allocator_;
  LocalHandles handles_;
  // How many such stretches are open.
  int no_gc_ = 0;
  LocalRootSlots root_slots_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_MUTATOR_BASE_H_
