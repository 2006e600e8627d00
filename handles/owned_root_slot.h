// What Persistent and WeakPersistent are made of: a slot of their heap's pool
// that they own, or none.
//
// As a Persistent: one thread at a time; a running mutator of the heap takes
// the slot and reads it, any thread moves and releases it.

#ifndef BIBOP_HANDLES_OWNED_ROOT_SLOT_H_
#define BIBOP_HANDLES_OWNED_ROOT_SLOT_H_

#include <atomic>
#include <cstdint>
#include <source_location>
#include <utility>

#include "absl/log/absl_check.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
#include "bibop/handles/root_slots.h"
#include "bibop/heap/type_info.h"

namespace bibop::internal {

enum class RootKind { kStrong, kWeak };

template <RootKind kind>
class OwnedRootSlot {
 public:
  // Owns no slot.
  OwnedRootSlot() = default;

  // Takes a slot for `object`; none if that is null.
  template <class T>
  OwnedRootSlot(MutatorBase& mutator, T* object,
                const std::source_location& place)
      : slot_(Take(mutator.root_slots(), object, place)) {
    CheckPlace();
  }

  OwnedRootSlot(OwnedRootSlot&& other) noexcept
      : slot_(std::exchange(other.slot_, nullptr)) {
    CheckPlace();
  }
  OwnedRootSlot& operator=(OwnedRootSlot&& other) noexcept {
    if (this == &other) return *this;
    Release();
    slot_ = std::exchange(other.slot_, nullptr);
    CheckPlace();
    return *this;
  }
  OwnedRootSlot(const OwnedRootSlot&) = delete;
  OwnedRootSlot& operator=(const OwnedRootSlot&) = delete;
  ~OwnedRootSlot() { Release(); }

  // Releases the slot, if there is one.
  void Release() {
    if (slot_ == nullptr) return;
    RootSlotPool::Release(*slot_);
    slot_ = nullptr;
  }

  // The address in the slot, or null. Any thread may call it.
  void* Peek() const { return slot_ == nullptr ? nullptr : PeekNotEmpty(); }
  // The same, where there is a slot.
  void* PeekNotEmpty() const {
    return RootAddress(slot_->load(std::memory_order_relaxed));
  }

  // The same, to be looked at: checked builds abort where the thread may not.
  void* Get() const {
    void* object = Peek();
    if constexpr (kCheckedHandles) CheckReadable(object);
    return object;
  }
  // The same of a root that refers to something: else reads at address 0, and
  // checked builds abort.
  void* GetNotEmpty() const {
    if constexpr (kCheckedHandles) {
      ABSL_CHECK(Peek() != nullptr)
          << "an empty Persistent is dereferenced: it was reset or moved from, "
             "or its heap is gone; test it first";
      return Get();
    }
    return PeekNotEmpty();
  }

  // Makes the slot refer to its object as a T instead of as a U.
  template <class U, class T>
    requires(RootMovableTo<U, T>)
  void Convert() {
    if (slot_ == nullptr) return;
    RootSlotPool::Convert(*slot_, [](void* object) -> const void* {
      return static_cast<T*>(static_cast<U*>(object));
    });
  }

 private:
  static constexpr uintptr_t kTag = kind == RootKind::kWeak ? kWeakRootSlot : 0;

  template <class T>
  static RootSlot* Take(LocalRootSlots& slots, T* object,
                        [[maybe_unused]] const std::source_location& place) {
    if constexpr (kCheckedHandles) slots.CheckMayTake();
    if (object == nullptr) return nullptr;
    RootSlot& slot = slots.Take(reinterpret_cast<uintptr_t>(object) | kTag);
    if constexpr (kCheckedHandles) {
      LocalRootSlots::SetOrigin(slot, {TypeName<T>(), place});
    }
    return &slot;
  }

  void CheckReadable(const void* object) const {
    ABSL_CHECK(object == nullptr || RootSlotPool::IsReadableHere(*slot_))
        << "a Persistent or WeakPersistent is read on a thread that is not "
           "attached to its heap, or parked: only a running mutator may look "
           "at objects";
  }
  // A weak root keeps nothing alive, wherever it is.
  void CheckPlace() const {
    if constexpr (kCheckedHandles && kind == RootKind::kStrong) {
      const auto here = reinterpret_cast<uintptr_t>(this);
      ABSL_CHECK(Peek() == nullptr ||
                 (here ^ reinterpret_cast<uintptr_t>(Peek())) >= kCageSize)
          << "a Persistent is part of an object of the heap that it refers "
             "into, which keeps cycles alive for ever: use a Member";
    }
  }

  RootSlot* slot_ = nullptr;
};

}  // namespace bibop::internal

#endif  // BIBOP_HANDLES_OWNED_ROOT_SLOT_H_
