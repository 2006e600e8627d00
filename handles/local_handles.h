// The slots behind one mutator's handles: what a handle points at stays alive
// because its address is in a slot here.
//
// Slots lie in blocks of 256, chained when one is full and kept for reuse.
// Scopes open and close in stack order, so the slots in use are always a
// prefix: opening a scope remembers where the prefix ends, closing it goes back
// there.
//
//   slot, 64 bits   | 63                | 62 ... 0                            |
//                   | in construction   | address in an object; 0 for no object
//                   |
//
// Owned by a mutator and used by its thread only, except that the collector
// visits the slots while that thread is stopped at a safepoint.
//
// Invariants: next <= limit; in every block but the last all slots before the
// one after it was added are in use; under a seal limit == next.
//
// The next/limit pair and the seal follow V8's handle scopes (HandleScopeData).

#ifndef BIBOP_HANDLES_LOCAL_HANDLES_H_
#define BIBOP_HANDLES_LOCAL_HANDLES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "absl/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/root_visitor.h"

namespace bibop {

// A word that roots an object.
using HandleSlot = uintptr_t;

// Set in the slot of an object whose constructor has not returned. No address
// of a program has it.
inline constexpr HandleSlot kInConstruction = HandleSlot{1} << 63;
static_assert(sizeof(HandleSlot) == 8);

// What `object`'s slot holds.
inline HandleSlot SlotValue(const void* object) {
  return reinterpret_cast<HandleSlot>(object);
}

class LocalHandles {
 public:
  // The number of slots in a block.
  static constexpr size_t kBlockSlots = 256;
  // Whether open scopes are counted: seals and checks need it. It costs an
  // addition in memory for each scope, on which the next scope has to wait.
  static constexpr bool kCountsScopes = kSealedScopes;

  LocalHandles();
  LocalHandles(const LocalHandles&) = delete;
  LocalHandles& operator=(const LocalHandles&) = delete;
  // Aborts if a scope is open, where open scopes are counted; else if one is
  // open that has handles.
  ~LocalHandles();

  // Makes sure that the next slot can be created without allocating memory.
  // Aborts under a seal.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Reserve() {
    if (next_ == limit_) [[unlikely]] {
      Extend();
    }
  }

  // The slot that is created next, once it was reserved.
  HandleSlot* next() const { return next_; }

  // Makes `slot` a slot in use that holds `value`, until the innermost open
  // scope closes.
  //
  // REQUIRES: slot is next(); Reserve was called, and no slot was created in
  // its scope since.
  void CreateReserved(HandleSlot* slot, HandleSlot value) {
    *slot = value;
    next_ = slot + 1;
  }

  // Reserves and creates a slot that holds `value`. Aborts under a seal.
  ABSL_ATTRIBUTE_ALWAYS_INLINE HandleSlot* Create(HandleSlot value) {
    Reserve();
    HandleSlot* slot = next_;
    CreateReserved(slot, value);
    return slot;
  }

  // Takes back the slot that was created last, or else empties it.
  void Discard(HandleSlot* slot) {
    *slot = 0;
    if (slot + 1 == next_) --next_;
  }

  // What a scope remembers of the time before it opened: the limit only where a
  // seal may have lowered it; else that is the end of the block that `next` is
  // in.
  struct MarkUnderSeals {
    HandleSlot* next;
    HandleSlot* limit;
  };
  struct MarkWithoutSeals {
    HandleSlot* next;
  };
  using Mark =
      std::conditional_t<kSealedScopes, MarkUnderSeals, MarkWithoutSeals>;

  // Opens a scope: returns what its CloseScope needs.
  Mark OpenScope() {
    if constexpr (kCountsScopes) ++depth_;
    return MakeMark<Mark>();
  }

  // Closes the innermost open scope: its slots are no longer in use.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void CloseScope(Mark mark) {
    if constexpr (kCountsScopes) --depth_;
    Reset(mark);
  }

  // What a seal remembers of the time before it.
  struct Seal {
    HandleSlot* limit;
    int depth;
  };

  // From now on Create aborts at the current depth of scopes; in scopes opened
  // later it does not. Returns what Unseal needs.
  Seal SealScope() {
    const Seal before = {limit_, sealed_depth_};
    limit_ = next_;
    sealed_depth_ = depth_;
    return before;
  }

  // Ends the latest seal.
  void Unseal(Seal before) {
    limit_ = before.limit;
    sealed_depth_ = before.depth;
  }

  // The number of open scopes, in builds that count them; else 0.
  int depth() const { return depth_; }
  // The number of slots in use.
  size_t size() const;

  // Shows the objects in construction. To be called for every mutator before
  // any VisitRoots: a marker that has met such an object by another way would
  // call its Trace.
  void VisitRootsInConstruction(RootVisitor& visitor) const;

  // Shows all other objects that slots keep alive.
  void VisitRoots(RootVisitor& visitor) const;

 private:
  struct Block {
    std::unique_ptr<Block> previous;
    std::array<HandleSlot, kBlockSlots> slots;
  };

  // By template, for of each pair of members only one is compiled.
  template <class M>
  M MakeMark() const {
    if constexpr (kSealedScopes) {
      return {next_, limit_};
    } else {
      return {next_};
    }
  }
  template <class M>
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Reset(M mark) {
    next_ = mark.next;
    if constexpr (kSealedScopes) {
      if (limit_ == mark.limit) return;
      DropBlocksAfter(mark.next);
      limit_ = mark.limit;
    } else {
      // Blocks neither overlap nor touch: each begins with a pointer.
      const size_t left = reinterpret_cast<uintptr_t>(limit_) -
                          reinterpret_cast<uintptr_t>(mark.next);
      if (left > kBlockSlots * sizeof(HandleSlot)) [[unlikely]] {
        DropBlocksAfter(mark.next);
      }
    }
  }

  // Makes room for a slot.
  ABSL_ATTRIBUTE_NOINLINE void Extend();
  // Puts aside the blocks that were added since `next` was the next slot, and
  // makes the limit the end of its block.
  ABSL_ATTRIBUTE_NOINLINE void DropBlocksAfter(const HandleSlot* next);

  template <class F>
  void ForEachSlot(F visit) const;

  static HandleSlot* EndOf(Block& block) {
    return block.slots.data() + kBlockSlots;
  }

  // Not beside limit_: compilers would copy both at once when a scope opens,
  // and a 16-byte load cannot be forwarded from the 8-byte store of the last
  // handle.
  HandleSlot* next_;
  // The last block in use; there always is one.
  std::unique_ptr<Block> block_;
  HandleSlot* limit_;
  int depth_ = 0;
  // The depth at which handles may not be created, where a seal is in force.
  int sealed_depth_ = -1;
  // Blocks to use again.
  std::unique_ptr<Block> spare_;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_LOCAL_HANDLES_H_
