// The pools of a heap's roots that are not on a stack: those of Persistents and
// those of tasks. Both outlive it where something of them is left.

#ifndef BIBOP_HANDLES_HEAP_ROOTS_H_
#define BIBOP_HANDLES_HEAP_ROOTS_H_

#include "bibop/handles/async_slots.h"
#include "bibop/handles/root_slots.h"

namespace bibop {

struct HeapRoots {
  // Of Persistents and WeakPersistents.
  const RootSlotPool::Owner slots = RootSlotPool::Create();
  // Of AsyncHandleScopes.
  const AsyncSlotPool::Owner async = AsyncSlotPool::Create();
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_HEAP_ROOTS_H_
