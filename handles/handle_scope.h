// HandleScope: where handles are made, and how long they are good.
//
//   HandleScope scope(mutator);
//   Handle<Node> node = scope.New<Node>("name");
//
// Creating a handle stores one word, and closing a scope restores one: no
// allocation, no atomic operation, no thread-local variable. Scopes nest like
// the blocks of the program. A scope grows with each handle that is created in
// it, so a loop has a scope of its own in its body, or uses a MutableHandle.
//
// Stack only, used by the mutator's thread. Creating a handle throws
// std::bad_alloc where the system has no memory for a block of slots, whatever
// the function is called.
//
// Invariants: I-4: every object is rooted from before its constructor to the
// end of its scope.

#ifndef BIBOP_HANDLES_HANDLE_SCOPE_H_
#define BIBOP_HANDLES_HANDLE_SCOPE_H_

#include <cstddef>
#include <new>
#include <source_location>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/array.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/handle.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
#include "bibop/heap/type_info.h"

namespace bibop {

namespace internal {

// A cell and the slot that is reserved for its object. Both come from the slow
// path, in registers, so that the fast path need not read the slot again.
struct CellAndSlot {
  void* cell;
  HandleSlot* slot;
};

// Returns a cell for an object of `type`, or tells the mutator that there is no
// memory.
CellAndSlot AllocateSlow(MutatorBase& mutator, const TypeInfo& type, TypeId id);

// Returns a cell for an object of `type` and bytes behind it.
absl::StatusOr<void*> AllocateWithExtraBytes(MutatorBase& mutator,
                                             const TypeInfo& type, TypeId id,
                                             size_t extra_bytes);

struct ScopeAccess;

// Aborts if the scope is not on the stack.
void CheckScopeOnStack(const void* scope);

}  // namespace internal

class ABSL_LOCKABLE HandleScope {
 public:
  static constexpr bool kIsScoped = true;

  // Opens a scope inside of the mutator's innermost one. Aborts, naming its
  // `place`, while the mutator is parked. Checked builds name the place in
  // other messages, too, and abort on another thread, or if the scope is not on
  // the stack.
  [[nodiscard]] explicit HandleScope(
      MutatorBase& mutator ABSL_ATTRIBUTE_LIFETIME_BOUND,
      std::source_location place = std::source_location::current())
      : mutator_(mutator), mark_(mutator.handles().OpenScope(place)) {
    if constexpr (kCheckedHandles) internal::CheckScopeOnStack(this);
  }

  HandleScope(const HandleScope&) = delete;
  HandleScope& operator=(const HandleScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;

  // Closes the scope: its handles may no longer be used. Checked builds abort
  // if it is not the innermost.
  //
  // Inlined even where an exception is thrown: one call of it would force every
  // scope into memory.
  ABSL_ATTRIBUTE_ALWAYS_INLINE ~HandleScope() {
    mutator_.handles().CloseScope(mark_);
  }

  // Allocates a T, constructs it from `args`, and returns a handle of it. The
  // object is rooted before its constructor runs; the constructor may itself
  // allocate. If it throws, nothing is left behind.
  //
  // May collect, and so run destructors. If the heap stays full after a
  // collection HeapOptions::on_out_of_memory is called, or the program aborts;
  // use TryNew where that can be handled.
  //
  // For a type of two pointers it is 13 instructions where there is room, and
  // the constructor's (gcc 12, -O2):
  //   mov test je          is there room for a slot?
  //   mov add              the region, from the mutator and a constant of the
  //                        type that is set when the program is loaded
  //   mov lea cmp jb mov   is there room for a cell? bump
  //   lea mov mov          the handle's slot
  // `objdump -d bazel-bin/benchmarks/handle_scope_benchmark`, in BM_NewPair.
  template <class T, class... Args>
  Handle<T> New(Args&&... args) & BIBOP_ALLOCATES {
    CheckMayAllocate();
    // Before there is a cell: it may throw std::bad_alloc.
    mutator_.handles().Reserve();
    HandleSlot* slot = mutator_.handles().next();
    auto cell =
        reinterpret_cast<uintptr_t>(mutator_.allocator().TryAllocate<T>());
    if (cell == 0) [[unlikely]] {
      const internal::CellAndSlot slow =
          internal::AllocateSlow(mutator_, kTypeInfo<T>, kTypeId<T>);
      cell = reinterpret_cast<uintptr_t>(slow.cell);
      slot = slow.slot;
    }
    // gcc 12 would keep it twice from here on, as a pointer to the object and
    // as what the slot holds: it merges both ways in either form. It does not
    // look into this, which is no instruction. (binary_trees: 0.95x.)
    asm("" : "+r"(cell));
    return Construct<T>(reinterpret_cast<void*>(cell), slot,
                        std::forward<Args>(args)...);
  }

  // As New, but returns ResourceExhausted if the heap stays full after a
  // collection.
  template <class T, class... Args>
  absl::StatusOr<Handle<T>> TryNew(Args&&... args) & BIBOP_ALLOCATES {
    CheckMayAllocate();
    mutator_.handles().Reserve();
    void* cell = mutator_.allocator().TryAllocate<T>();
    if (cell == nullptr) [[unlikely]] {
      absl::StatusOr<void*> slow =
          mutator_.AllocateSlow(kTypeInfo<T>, kTypeId<T>, sizeof(T));
      if (!slow.ok()) return slow.status();
      cell = *slow;
    }
    return Construct<T>(cell, mutator_.handles().next(),
                        std::forward<Args>(args)...);
  }

  // As New and TryNew, with `extra_bytes` uninitialized bytes right behind the
  // T, which is told of them by its constructor's arguments if at all. They are
  // the T's own: freed with it, and not looked at by the collector, so they may
  // not hold Members. TryNewWithExtraBytes returns InvalidArgument for more
  // bytes than an object can have.
  template <class T, class... Args>
  Handle<T> NewWithExtraBytes(size_t extra_bytes,
                              Args&&... args) & BIBOP_ALLOCATES {
    CheckMayAllocate();
    mutator_.handles().Reserve();
    absl::StatusOr<void*> cell = internal::AllocateWithExtraBytes(
        mutator_, kTypeInfo<T>, kTypeId<T>, extra_bytes);
    if (!cell.ok()) mutator_.OutOfMemory(cell.status());
    return Construct<T>(*cell, mutator_.handles().next(),
                        std::forward<Args>(args)...);
  }
  template <class T, class... Args>
  absl::StatusOr<Handle<T>> TryNewWithExtraBytes(
      size_t extra_bytes, Args&&... args) & BIBOP_ALLOCATES {
    CheckMayAllocate();
    mutator_.handles().Reserve();
    absl::StatusOr<void*> cell = internal::AllocateWithExtraBytes(
        mutator_, kTypeInfo<T>, kTypeId<T>, extra_bytes);
    if (!cell.ok()) return cell.status();
    return Construct<T>(*cell, mutator_.handles().next(),
                        std::forward<Args>(args)...);
  }

  // As New and TryNew, of an array of `size` Ts, which may be 0,
  // value-initialized. TryNewArray returns InvalidArgument for more elements
  // than an object can have.
  template <class T>
  Handle<Array<T>> NewArray(size_t size) & BIBOP_ALLOCATES {
    return NewWithExtraBytes<Array<T>>(Array<T>::ExtraBytes(size),
                                       internal::ArraySize{size});
  }
  template <class T>
  absl::StatusOr<Handle<Array<T>>> TryNewArray(size_t size) & BIBOP_ALLOCATES {
    return TryNewWithExtraBytes<Array<T>>(Array<T>::ExtraBytes(size),
                                          internal::ArraySize{size});
  }

  // A handle of what `source`, a Member, MutableHandle or Persistent, refers to
  // now; nothing if it refers to nothing.
  template <ObjectReference R>
  MaybeHandle<typename R::element_type> Local(
      const R& source) & BIBOP_CREATES_HANDLES {
    CheckMayCreate();
    typename R::element_type* object = source.get();
    // Before it is asked for null, so as not to wait for it.
    HandleSlot* slot = mutator_.handles().Create(SlotValue(object));
    if (object == nullptr) return {};
    return MakeHandle(object, slot);
  }

  // A slot for a T that can be assigned to, null at first.
  template <class T>
  MutableHandle<T> Mutable() & BIBOP_CREATES_HANDLES {
    CheckMayCreate();
    HandleSlot* slot = mutator_.handles().Create(0);
    return MutableHandle<T>(slot, mutator_.handles().TagOf(mark_, nullptr));
  }

  // The same, referring to what `source`, a Handle, Member, MutableHandle or
  // Persistent, refers to now.
  template <ObjectReference R>
  MutableHandle<typename R::element_type> Mutable(
      const R& source) & BIBOP_CREATES_HANDLES {
    CheckMayCreate();
    HandleSlot* slot = mutator_.handles().Create(SlotValue(source.get()));
    return MutableHandle<typename R::element_type>(
        slot, mutator_.handles().TagOf(mark_, nullptr));
  }

  // The handles of a temporary scope would be of no use.
  template <class T, class... Args>
  Handle<T> New(Args&&... args) && = delete;
  template <class T, class... Args>
  absl::StatusOr<Handle<T>> TryNew(Args&&... args) && = delete;
  template <class T>
  Handle<Array<T>> NewArray(size_t size) && = delete;
  template <class T>
  absl::StatusOr<Handle<Array<T>>> TryNewArray(size_t size) && = delete;
  template <ObjectReference R>
  MaybeHandle<typename R::element_type> Local(const R& source) && = delete;
  template <class T>
  MutableHandle<T> Mutable() && = delete;
  template <ObjectReference R>
  MutableHandle<typename R::element_type> Mutable(const R& source) && = delete;

 protected:
  // A handle of `object`, which is not null and which nothing but this may keep
  // alive at the next safepoint.
  template <class T>
  Handle<T> Root(T* object) {
    CheckMayCreate();
    return MakeHandle(object, mutator_.handles().Create(SlotValue(object)));
  }
  // What a handle knows of its slot in the scope around this one.
  internal::HandleTag TagOfParent(const HandleSlot* slot) const {
    return mutator_.handles().TagOfParent(mark_, slot);
  }

 private:
  friend struct internal::ScopeAccess;

  // Takes cell and slot back if the constructor throws.
  class UnderConstruction {
   public:
    UnderConstruction(MutatorBase& mutator, void* cell, HandleSlot* slot)
        : mutator_(mutator), cell_(cell), slot_(slot) {
      mutator.handles().CreateReserved(slot, SlotValue(cell) | kInConstruction);
    }
    UnderConstruction(const UnderConstruction&) = delete;
    UnderConstruction& operator=(const UnderConstruction&) = delete;
    ~UnderConstruction() {
      if (done_) [[likely]]
        return;
      mutator_.handles().Discard(slot_);
      mutator_.allocator().Abandon(cell_);
    }
    void Done() {
      *slot_ = SlotValue(cell_);
      done_ = true;
    }

   private:
    MutatorBase& mutator_;
    void* cell_;
    HandleSlot* slot_;
    bool done_ = false;
  };

  template <class T, class... Args>
  ABSL_ATTRIBUTE_ALWAYS_INLINE Handle<T> Construct(void* cell, HandleSlot* slot,
                                                   Args&&... args) {
    UnderConstruction guard(mutator_, cell, slot);
    T* object = ::new (cell) T(std::forward<Args>(args)...);
    guard.Done();
    return MakeHandle(object, slot);
  }

  template <class T>
  ABSL_ATTRIBUTE_ALWAYS_INLINE Handle<T> MakeHandle(T* object,
                                                    HandleSlot* slot) const {
    return internal::HandleAccess::Make(object,
                                        mutator_.handles().TagOf(mark_, slot));
  }

  // A slot always belongs to the innermost scope, whichever is asked.
  void CheckMayCreate() const { mutator_.handles().CheckMayCreate(mark_); }
  // As well that no NoGcScope is open.
  void CheckMayAllocate() const {
    CheckMayCreate();
    if constexpr (kCheckedHandles) mutator_.CheckMayCollect();
  }

  MutatorBase& mutator_;
  LocalHandles::Mark mark_;
};

namespace internal {

// How the rest of Bibop sees a scope.
struct ScopeAccess {
  // The mutator whose innermost scope it is; checked builds abort if it is not.
  static MutatorBase& MutatorOf(const HandleScope& scope) {
    scope.CheckMayCreate();
    return scope.mutator_;
  }
};

}  // namespace internal

}  // namespace bibop

#endif  // BIBOP_HANDLES_HANDLE_SCOPE_H_
