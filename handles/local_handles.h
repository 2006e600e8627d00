// The slots behind one mutator's handles: what a handle points at stays alive
// because its address is in a slot here.
//
// Slots lie in blocks, chained when one is full. Scopes open and close in stack
// order, so the slots in use are always a prefix: opening a scope remembers
// where the prefix ends, closing it goes back there.
//
//   slot, 64 bits   | 63                | 62 ... 0                            |
//                   | in construction   | address in an object; 0 for no object
//                   |
//
// Some slots are no handle's: each roots a store of a container, until that
// gives it back; then kVacant is in the slot, which serves the next store.
//
//   block, 4 KiB    | next block | previous block | 510 slots |
//
// A block starts at a multiple of its size, so the address of the next slot
// alone says whether its block is full: then, and only then, it is such a
// multiple itself. Creating a handle reads no limit, and closing a scope does
// not ask whether blocks were added: those behind the next slot's are spare.
//
// In checked builds a ledger knows the scopes, and slots that are not in use
// are poisoned.
//
// Owned by a mutator and used by its thread only, except that the collector
// visits the slots while that thread is stopped at a safepoint or parked. The
// words are plain: the thread writes them before it stops or parks (release,
// MutatorState), and the collector reads them after it has made sure of that
// (acquire); while the thread is parked nobody writes them.
//
// A thread that is parked creates no slots and opens no scopes: where the next
// slot should be it finds ParkedEnd, which looks like the end of a block, and
// the slow path aborts. A scope or a seal that ends then, and began before,
// puts another address there, at which Unpark aborts; checked builds abort at
// once, others do not see what is created until then.
//
// Invariants: in every block before that of the next slot all slots are in use;
// under a seal next == null, which looks like the end of a block; while the
// thread is parked next == ParkedEnd(), and parked_next is what it was before.
//
// The seal is in the spirit of V8's handle scopes (HandleScopeData), where it
// lowers a limit.

#ifndef BIBOP_HANDLES_LOCAL_HANDLES_H_
#define BIBOP_HANDLES_LOCAL_HANDLES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/base/attributes.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/handles/handle_tag.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/handles/scope_ledger.h"

namespace bibop {

// A word that roots an object.
using HandleSlot = uintptr_t;

// Set in the slot of an object whose constructor has not returned. No address
// of a program has it.
inline constexpr HandleSlot kInConstruction = HandleSlot{1} << 63;
static_assert(sizeof(HandleSlot) == 8);

// What is in a slot that rooted a store and may root another. No address of a
// program, and in construction neither.
inline constexpr HandleSlot kVacant = HandleSlot{1} << 62;

// What `object`'s slot holds.
inline HandleSlot SlotValue(const void* object) {
  return reinterpret_cast<HandleSlot>(object);
}

class LocalHandles {
 public:
  // A block's size and alignment, and the number of its slots.
  static constexpr size_t kBlockBytes = 4096;
  static constexpr size_t kBlockSlots = kBlockBytes / sizeof(HandleSlot) - 2;
  // The most blocks without a slot in use that FreeSpares leaves.
  static constexpr size_t kMostSpares = 8;
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
  // Aborts under a seal, or while parked.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void Reserve() {
    if (IsEndOfBlock(next_)) [[unlikely]] {
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
    UnpoisonForObject(slot, sizeof(HandleSlot));
    *slot = value;
    next_ = slot + 1;
    if constexpr (kCheckedHandles) ledger_->CountHandle();
  }

  // Reserves and creates a slot that holds `value`. Aborts under a seal, or
  // while parked.
  ABSL_ATTRIBUTE_ALWAYS_INLINE HandleSlot* Create(HandleSlot value) {
    Reserve();
    HandleSlot* slot = next_;
    CreateReserved(slot, value);
    return slot;
  }

  // Takes back the slot that was created last, or else empties it.
  void Discard(HandleSlot* slot) {
    *slot = 0;
    if (slot + 1 != next_) return;
    --next_;
    PoisonFreed(slot, sizeof(HandleSlot));
    if constexpr (kCheckedHandles) ledger_->UncountHandle();
  }

  // Makes sure that RootStore can be called. Aborts while parked, and under a
  // seal if a slot has to be created; checked builds abort if no scope is open.
  void ReserveForStore() {
    CheckInScope();
    CheckNotParked();
    if (FindRecent(kVacant) == nullptr) Reserve();
  }

  // Keeps a store alive until ReleaseStore, or until the innermost open scope
  // closes.
  //
  // REQUIRES: ReserveForStore was called, and no slot was created since.
  void RootStore(const void* store) {
    // A second slot would be left when it is released.
    if (FindRecent(SlotValue(store)) != nullptr) return;
    if (HandleSlot* slot = FindRecent(kVacant)) {
      *slot = SlotValue(store);
      return;
    }
    UnpoisonForObject(next_, sizeof(HandleSlot));
    *next_++ = SlotValue(store);
  }

  // No longer keeps the store alive, if its slot is among the last few.
  void ReleaseStore(const void* store) {
    if (HandleSlot* slot = FindRecent(SlotValue(store))) *slot = kVacant;
  }

  // What a scope remembers of the time before it opened, and in checked builds
  // who it is.
  struct UncheckedMark {
    HandleSlot* next;
  };
  struct CheckedMark {
    HandleSlot* next;
    internal::ScopeId scope;
  };
  using Mark = std::conditional_t<kCheckedHandles, CheckedMark, UncheckedMark>;

  // Opens a scope, at a place of the program: returns what its CloseScope
  // needs. Aborts while parked, in checked builds on another thread as well.
  Mark OpenScope(std::source_location place = std::source_location::current()) {
    // Before it is counted, for it may throw.
    const Mark mark = MakeMark<Mark>(place);
    if (mark.next == ParkedEnd()) [[unlikely]]
      AbortParked(place);
    if constexpr (kCountsScopes) ++depth_;
    return mark;
  }

  // Closes the innermost open scope: its slots are no longer in use. Checked
  // builds abort if that is not the scope of `mark`.
  ABSL_ATTRIBUTE_ALWAYS_INLINE void CloseScope(const Mark& mark) {
    if constexpr (kCheckedHandles) CheckAndPoison(mark);
    if constexpr (kCountsScopes) --depth_;
    next_ = mark.next;
  }

  // Whether the scope of `mark` may create a handle: in checked builds aborts
  // unless it is the innermost, asked by its thread, which is running.
  void CheckMayCreate([[maybe_unused]] const Mark& mark) const {
    if constexpr (kCheckedHandles) CheckMayCreateIn(mark);
  }

  // What checked builds note of a handle in the scope of `mark`: it is good as
  // long as its slot holds what it does, or until the scope closes if `slot` is
  // null.
  internal::HandleTag TagOf([[maybe_unused]] const Mark& mark,
                            [[maybe_unused]] const HandleSlot* slot) const {
    return MakeTag<internal::HandleTag>(mark, slot);
  }
  // The same of a handle in the scope around that of `mark`.
  internal::HandleTag TagOfParent(
      [[maybe_unused]] const Mark& mark,
      [[maybe_unused]] const HandleSlot* slot) const {
    return MakeParentTag<internal::HandleTag>(mark, slot);
  }

  // Frees blocks none of whose slots is in use, but for some: to be called now
  // and then.
  void FreeSpares() {
    HandleSlot* const next = NextSlot();
    if (BlockOf(next).next != nullptr) [[unlikely]]
      FreeSpares(BlockOf(next));
  }

  // From now on Create and OpenScope abort, and checked builds watch over the
  // use of scopes and handles as well.
  //
  // REQUIRES: it is not parked.
  void Park() {
    if constexpr (kCheckedHandles) ledger_->Park();
    parked_next_ = next_;
    next_ = ParkedEnd();
  }
  // Ends that. Aborts if a scope that was opened before has closed meanwhile.
  void Unpark() {
    if constexpr (kCheckedHandles) ledger_->Unpark();
    if (next_ != ParkedEnd()) [[unlikely]]
      AbortClosedWhileParked();
    next_ = parked_next_;
  }

  // Tells where the task was made that the thread runs from now on, for
  // messages: null for none. Returns what that was before. `*task` must exist
  // until the next call.
  const std::source_location* SetTask(const std::source_location* task) {
    return std::exchange(task_, task);
  }

  // In checked builds aborts on another thread, or while parked, where `what`
  // is being opened.
  void CheckRunningHere([[maybe_unused]] const char* what) const {
    if constexpr (kCheckedHandles) ledger_->CheckRunningHere(what);
  }

  // In checked builds a scope that has more handles aborts; 0 is no limit.
  void set_max_handles_per_scope([[maybe_unused]] size_t max_handles) {
    if constexpr (kCheckedHandles) ledger_->set_max_handles(max_handles);
  }

  // What a seal remembers of the time before it.
  struct Seal {
    HandleSlot* next;
    HandleSlot* sealed_next;
    int depth;
  };

  // From now on Create aborts at the current depth of scopes; in scopes opened
  // later it does not. Returns what Unseal needs. Aborts while parked, in
  // checked builds on another thread as well.
  Seal SealScope() {
    CheckRunningHere("a SealedHandleScope");
    CheckNotParked();
    const Seal before = {next_, sealed_next_, sealed_depth_};
    sealed_next_ = NextSlot();
    sealed_depth_ = depth_;
    next_ = nullptr;
    return before;
  }

  // Ends the latest seal.
  void Unseal(Seal before) {
    next_ = before.next;
    sealed_next_ = before.sealed_next;
    sealed_depth_ = before.depth;
  }

  // The number of open scopes, in builds that count them; else 0.
  int depth() const { return depth_; }
  // Where the slots in use end, and depth(): the same at two moments if all
  // that was made between them is gone, except that a scope without a handle is
  // not seen where scopes are not counted.
  struct Extent {
    const HandleSlot* end;
    int depth;
    bool operator==(const Extent&) const = default;
  };
  Extent extent() const { return {NextSlot(), depth_}; }
  // Where the innermost open scope was opened, as a part of a message, in
  // checked builds; else nothing.
  std::string DescribeInnermost() const;
  // The number of slots in use.
  size_t size() const;

  // Shows the objects in construction. To be called for every mutator before
  // any VisitRoots: a marker that has met such an object by another way would
  // call its Trace.
  void VisitRootsInConstruction(RootVisitor& visitor) const;

  // Shows all other objects that slots keep alive.
  void VisitRoots(RootVisitor& visitor) const;

 private:
  struct alignas(kBlockBytes) Block {
    std::unique_ptr<Block> next;
    Block* previous;
    std::array<HandleSlot, kBlockSlots> slots;
  };
  // So the last slot ends where the block does.
  static_assert(sizeof(Block) == kBlockBytes &&
                2 * sizeof(void*) + kBlockSlots * sizeof(HandleSlot) ==
                    kBlockBytes);

  static bool IsEndOfBlock(const HandleSlot* slot) {
    return reinterpret_cast<uintptr_t>(slot) % kBlockBytes == 0;
  }
  // The block that `next` is in, or that ends there.
  static Block& BlockOf(HandleSlot* next) {
    const uintptr_t inside = reinterpret_cast<uintptr_t>(next) - 1;
    return *reinterpret_cast<Block*>(inside - inside % kBlockBytes);
  }
  static HandleSlot* EndOf(Block& block) {
    return block.slots.data() + kBlockSlots;
  }
  // Returns a block none of whose slots is in use, behind `previous`.
  static std::unique_ptr<Block> NewBlock(Block* previous);

  // What next_ is while the thread is parked: no slot, but where a block would
  // end.
  static HandleSlot* ParkedEnd() {
    return reinterpret_cast<HandleSlot*>(uintptr_t{kBlockBytes});
  }

  // Where the slots in use end, also under a seal or while parked.
  HandleSlot* NextSlot() const {
    HandleSlot* const next = next_ != ParkedEnd() ? next_ : parked_next_;
    return next != nullptr ? next : sealed_next_;
  }
  void CheckNotParked() const {
    if (next_ == ParkedEnd()) [[unlikely]]
      AbortParked();
  }
  [[noreturn]] ABSL_ATTRIBUTE_NOINLINE void AbortParked() const;
  // The same where a scope is opened at `place`.
  [[noreturn]] ABSL_ATTRIBUTE_NOINLINE void AbortParked(
      std::source_location place) const;
  // Which task the thread runs, as a part of a message; nothing if none.
  std::string DescribeTask() const;
  [[noreturn]] ABSL_ATTRIBUTE_NOINLINE static void AbortClosedWhileParked();

  // By template, for of the members of each only some are compiled.
  template <class M>
  M MakeMark([[maybe_unused]] std::source_location place) const {
    if constexpr (kCheckedHandles) {
      return {next_, ledger_->OpenScope(place)};
    } else {
      return {next_};
    }
  }
  template <class Tag, class M>
  Tag MakeTag([[maybe_unused]] const M& mark,
              [[maybe_unused]] const HandleSlot* slot) const {
    if constexpr (kCheckedHandles) {
      return Tag(*ledger_, mark.scope, slot);
    } else {
      return {};
    }
  }
  template <class Tag, class M>
  Tag MakeParentTag([[maybe_unused]] const M& mark,
                    [[maybe_unused]] const HandleSlot* slot) const {
    if constexpr (kCheckedHandles) {
      return Tag(*ledger_, ledger_->Parent(mark.scope), slot);
    } else {
      return {};
    }
  }
  template <class M>
  void CheckMayCreateIn(const M& mark) const {
    ledger_->CheckMayCreate(mark.scope);
  }

  // Closes a scope in the ledger, at the instruction that called this, and
  // poisons its slots.
  ABSL_ATTRIBUTE_NOINLINE void CheckAndPoison(const Mark& mark);
  template <class M>
  void CloseInLedger(const M& mark, const void* at);

  // The last slot in use that holds `value`, if it is among the last few of its
  // block; else null.
  HandleSlot* FindRecent(HandleSlot value) const;
  // In builds that count scopes aborts if none is open.
  void CheckInScope() const;

  // Makes room for a slot.
  ABSL_ATTRIBUTE_NOINLINE void Extend();

  // Frees all blocks behind `last` but the most that are left.
  ABSL_ATTRIBUTE_NOINLINE static void FreeSpares(Block& last);

  // Calls `visit` with all slots in use, the last blocks' first.
  template <class F>
  void ForEachSlot(F visit) const;

  // Null under a seal; ParkedEnd() while parked.
  HandleSlot* next_;
  // While parked what next_ was before.
  HandleSlot* parked_next_ = nullptr;
  // Where the slots in use end that a seal protects, while one is in force.
  HandleSlot* sealed_next_ = nullptr;
  int depth_ = 0;
  // The depth at which handles may not be created, where a seal is in force.
  int sealed_depth_ = -1;
  const std::unique_ptr<Block> first_;
  const std::source_location* task_ = nullptr;
  // In checked builds.
  internal::ScopeLedger* ledger_ = nullptr;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_LOCAL_HANDLES_H_
