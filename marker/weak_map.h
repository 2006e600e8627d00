// WeakMap<K, V>: an object of the heap that maps objects to objects without
// keeping the former alive: to say something about objects of somebody else's
// class. A value lives as long as its key does, by whatever else, and the map.
// Values may refer to their keys, or to keys of other entries: that alone keeps
// none of them alive.
//
//   Handle<WeakMap<Page, Notes>> notes = scope.New<WeakMap<Page, Notes>>();
//   notes->Set(mutator, page, scope.New<Notes>());
//   MaybeHandle<Notes> found = notes->Get(scope, page);
//
// Keys are the same if they are the same K, not if they are equal. Once a
// collection has found a key dead its entry is gone, before the key's
// destructor runs.
//
// It is made by scope.New and referred to by handles and Members, like any
// other object. Used by running mutators' threads, by one at a time, as a
// standard container is; collections may run meanwhile.
//
// A table with open addressing on the keys' addresses, for objects do not move.

#ifndef BIBOP_MARKER_WEAK_MAP_H_
#define BIBOP_MARKER_WEAK_MAP_H_

#include <atomic>
#include <cstddef>
#include <span>

#include "absl/base/attributes.h"
#include "absl/cleanup/cleanup.h"
#include "absl/log/absl_check.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_word.h"

namespace bibop {

namespace internal {

// The entries of a WeakMap. An entry whose key is dead is touched by the
// collector alone until that has erased it, then it is used again; so keys that
// are looked up are compared with addresses of dead objects, but never equal
// one.
//
// Invariants: at least a quarter of the cells were never used; those that are
// used lie where probing for their key finds them.
class EphemeronTable final {
 public:
  // For NewWithExtraBytes, with BytesFor(capacity) bytes. `capacity` is a power
  // of two, at least kSmallest.
  explicit EphemeronTable(size_t capacity);
  EphemeronTable(const EphemeronTable&) = delete;
  EphemeronTable& operator=(const EphemeronTable&) = delete;

  static constexpr size_t kSmallest = 8;
  // The bytes of the cells.
  static size_t BytesFor(size_t capacity);
  // The capacity that a table which is to have `entries` entries should have.
  static size_t CapacityFor(size_t entries);

  // The entry of a key; null if there is none.
  EphemeronCell* Find(const void* key);
  const EphemeronCell* Find(const void* key) const {
    return const_cast<EphemeronTable*>(this)->Find(key);
  }

  // Whether Add may be called.
  bool HasRoom() const { return touched_ < capacity_ / 4 * 3; }
  // Adds an entry.
  //
  // REQUIRES: HasRoom; there is none of that key.
  void Add(const void* key, const void* value);
  // Removes an entry, which Find returned.
  void Remove(EphemeronCell& entry);
  // Adds the entries of `other` whose keys were not found dead, without keeping
  // any alive: afterwards this is to be traced, if `heap`, theirs, is being
  // marked.
  //
  // REQUIRES: they fit.
  void AddAll(const EphemeronTable& other, const ObjectHeap& heap);

  // The entries, of which some may be dead.
  size_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  // All cells, of entries or not.
  std::span<const EphemeronCell> cells() const {
    return {reinterpret_cast<const EphemeronCell*>(this + 1), capacity_};
  }

  void Trace(auto& visitor) const { visitor.VisitEphemerons(cells(), in_use_); }

 private:
  EphemeronCell& cell(size_t index) {
    return reinterpret_cast<EphemeronCell*>(this + 1)[index];
  }
  // Where probing for a key begins.
  size_t HomeOf(const void* key) const;

  const size_t capacity_;
  // The cells that are not as they were at first: in use or erased. Used by the
  // mutator alone.
  size_t touched_ = 0;
  // Changed by the mutator, and by the collector, which erases entries: a sum,
  // relaxed.
  mutable std::atomic<size_t> in_use_ = 0;
};

}  // namespace internal

template <class K, class V>
class WeakMap final {
 public:
  WeakMap() = default;
  WeakMap(const WeakMap&) = delete;
  WeakMap& operator=(const WeakMap&) = delete;

  // Makes `value` the value of `key`; each is a Handle, MutableHandle, Member
  // or Persistent. The value may be nothing. Allocates now and then. Aborts if
  // there is no key, and in a ForEach if the key has no entry.
  template <ReferenceTo<K> RK, ReferenceTo<V> RV>
  void Set(MutatorBase& mutator, const RK& key, const RV& value) {
    const void* const k = AddressOf(key);
    V* const v = value.get();
    internal::EphemeronCell* entry = FindEntry(k);
    if (entry != nullptr) {
      entry->SetValue(v);
      return;
    }
    CheckNotInForEach();
    if (table_ != nullptr && table_->HasRoom()) {
      table_->Add(k, v);
    } else {
      AddToBigger(mutator, Member<K>(key.get()), Member<V>(v));
    }
  }

  // The value of `key`; nothing if it has none.
  template <ReferenceTo<K> RK>
  MaybeHandle<V> Get(HandleScope& scope ABSL_ATTRIBUTE_LIFETIME_BOUND,
                     const RK& key) const {
    const internal::EphemeronCell* entry = FindEntry(AddressOf(key));
    if (entry == nullptr) return {};
    return scope.Local(Member<V>(static_cast<V*>(entry->value().Load())));
  }

  // Whether `key` has an entry.
  template <ReferenceTo<K> RK>
  bool Contains(const RK& key) const {
    return FindEntry(AddressOf(key)) != nullptr;
  }

  // Removes the entry of `key`. Returns whether there was one.
  template <ReferenceTo<K> RK>
  bool Erase(const RK& key) {
    internal::EphemeronCell* entry = FindEntry(AddressOf(key));
    if (entry == nullptr) return false;
    table_->Remove(*entry);
    return true;
  }

  // Removes all entries. Aborts in a ForEach.
  void Clear() {
    CheckNotInForEach();
    table_ = nullptr;
  }

  // The number of entries, with those whose keys died since the last
  // collection.
  size_t size() const { return table_ == nullptr ? 0 : table_->in_use(); }

  // Calls f(scope, key, value), with a HandleScope&, a Handle<K> and a
  // MaybeHandle<V>, for each entry whose key was not found dead, in no order.
  // `scope` closes after each call. In it entries may be removed and get other
  // values, but none may be added.
  template <class F>
  void ForEach(MutatorBase& mutator, F f) const {
    if (table_ == nullptr) return;
    ++in_for_each_;
    const absl::Cleanup end = [this] { --in_for_each_; };
    for (const internal::EphemeronCell& entry : table_->cells()) {
      HandleScope scope(mutator);
      const MaybeHandle<K> key =
          scope.Local(Member<K>(static_cast<K*>(entry.ReadKey())));
      if (key.IsEmpty()) continue;
      f(scope, key.ToHandleChecked(),
        scope.Local(Member<V>(static_cast<V*>(entry.value().Load()))));
    }
  }

  void Trace(auto& visitor) const { visitor(table_); }

 private:
  template <class RK>
  static const void* AddressOf(const RK& key) {
    const K* const address = key.get();
    ABSL_CHECK(address != nullptr)
        << "a WeakMap is asked for the entry of nothing: test the key first";
    return address;
  }

  internal::EphemeronCell* FindEntry(const void* key) const {
    return table_ == nullptr ? nullptr : table_->Find(key);
  }

  void CheckNotInForEach() const {
    ABSL_CHECK(in_for_each_ == 0)
        << "a WeakMap is added to, or cleared, in its ForEach: collect what is "
           "to be added, and add it afterwards";
  }

  // Adds an entry to a table with more room, which becomes the map's.
  ABSL_ATTRIBUTE_NOINLINE void AddToBigger(MutatorBase& mutator, Member<K> key,
                                           Member<V> value) {
    HandleScope scope(mutator);
    const MutableHandle<K> k = scope.Mutable(key);
    const MutableHandle<V> v = scope.Mutable(value);
    const size_t capacity = internal::EphemeronTable::CapacityFor(size() + 1);
    const Handle<internal::EphemeronTable> bigger =
        scope.NewWithExtraBytes<internal::EphemeronTable>(
            internal::EphemeronTable::BytesFor(capacity), capacity);
    if (table_ != nullptr) bigger->AddAll(*table_, mutator.object_heap());
    bigger->Add(k.get(), v.get());
    mutator.snapshot().ShadeNew(bigger.get());
    table_ = bigger;
  }

  Member<internal::EphemeronTable> table_;
  // How many calls of ForEach there are.
  mutable int in_for_each_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_WEAK_MAP_H_
