// The part of a mutator that handles need: its slots and its allocator. The
// mutator itself, which knows about collections, is in runtime/.

#ifndef BIBOP_HANDLES_MUTATOR_BASE_H_
#define BIBOP_HANDLES_MUTATOR_BASE_H_

#include <utility>

#include "absl/status/statusor.h"
#include "bibop/handles/local_handles.h"
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

  // Returns a cell for an object of `type`, uninitialized, after whatever it
  // takes: sweeping, more memory, a collection. Returns ResourceExhausted if
  // the heap stays full, InvalidArgument if such an object does not fit into a
  // block.
  virtual absl::StatusOr<void*> AllocateSlow(const TypeInfo& type) = 0;

 protected:
  explicit MutatorBase(LocalAllocator allocator)
      : allocator_(std::move(allocator)) {}
  ~MutatorBase() = default;

 private:
  LocalAllocator allocator_;
  LocalHandles handles_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_MUTATOR_BASE_H_
