#include "bibop/handles/mutator_base.h"

#include <utility>

#include "absl/log/absl_check.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/heap/local_allocator.h"

namespace bibop {

constinit thread_local MutatorBase* MutatorBase::latest_of_thread = nullptr;

MutatorBase::MutatorBase(LocalAllocator allocator, HeapRoots& roots)
    : allocator_(std::move(allocator)),
      snapshot_(allocator_.heap()),
      root_slots_(*roots.slots, snapshot_),
      async_slots_(*roots.async),
      next_of_thread_(std::exchange(latest_of_thread, this)) {}

MutatorBase::~MutatorBase() {
  MutatorBase** at = &latest_of_thread;
  while (*at != nullptr && *at != this) at = &(*at)->next_of_thread_;
  ABSL_CHECK(*at == this)
      << "a mutator is destroyed by another thread than the one it attached";
  *at = next_of_thread_;
}

}  // namespace bibop
