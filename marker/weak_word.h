// What weak references are made of: words of objects of the heap that the
// marker does not follow, and that the collector makes null once it has found
// their objects dead.
//
//   WeakWord        one reference: a WeakMember
//   EphemeronCell   two: a key, and a value that lives as long as the key does
//
// A mark collects those that Traces show it, and the collector clears them
// while mutators run, before anything is swept. It looks at no others, and need
// not: one in an object that was allocated during the mark, which is never
// traced, or that was set after its object was traced, refers to something that
// a handle referred to during the mark, and that is marked. For the same reason
// the two words of a cell can be cleared one by one, in any order, while
// mutators set them: a word is cleared only if it refers to something unmarked,
// and nobody can store that.
//
// For the implementation of references; used by running mutators, markers and
// the collector. Whoever reads a word does so through internal::ReadWeak,
// unless the object is sure to be alive.

#ifndef BIBOP_MARKER_WEAK_WORD_H_
#define BIBOP_MARKER_WEAK_WORD_H_

#include <atomic>
#include <cstdint>

#include "bibop/handles/barriers.h"

namespace bibop::internal {

class WeakWord {
 public:
  // Null.
  WeakWord() = default;
  explicit WeakWord(const volatile void* object) : word_(Plain(object)) {
    NoteStore(this);
  }
  WeakWord(const WeakWord&) = delete;
  WeakWord& operator=(const WeakWord&) = delete;

  void* Load() const { return word_.load(std::memory_order_acquire); }
  void Store(const volatile void* object) {
    word_.store(Plain(object), std::memory_order_release);
    NoteStore(this);
  }
  // For the collector: makes it `after` if it is `before`, and returns whether
  // it was.
  bool Replace(void* before, void* after) const {
    return word_.compare_exchange_strong(
        before, after, std::memory_order_acq_rel, std::memory_order_relaxed);
  }

 private:
  static void* Plain(const volatile void* object) {
    return const_cast<void*>(object);
  }

  // Written by running mutators (release) and by the collector, by compare and
  // exchange, so that what a mutator has stored meanwhile stays. Read by both
  // and by markers (acquire): what is known of the object comes first. In an
  // object that is not published yet the first write, by the constructor, is
  // none of an atomic word.
  mutable std::atomic<void*> word_ = nullptr;
};

// Invariants: a word of a cell never refers to a dead object once that may be
// swept; a value whose key is gone is a weak reference like the key.
class EphemeronCell {
 public:
  // What a key is that was erased, by a mutator or by the collector; no object
  // is there.
  static void* Erased() { return reinterpret_cast<void*>(uintptr_t{1}); }
  // Whether what was loaded from a key refers to an object.
  static bool IsObject(const void* key) {
    return reinterpret_cast<uintptr_t>(key) > 1;
  }

  EphemeronCell() = default;

  // The two words, for the marker and the collector.
  const WeakWord& key() const { return key_; }
  const WeakWord& value() const { return value_; }

  // Makes the cell refer to both, which the caller keeps alive; the value may
  // be null.
  void Set(const volatile void* key, const volatile void* value) {
    SetValue(value);
    key_.Store(key);
  }
  // The same of the value alone. What it was before may be in use.
  void SetValue(const volatile void* value) {
    Shade(value_.Load());
    value_.Store(value);
  }
  // Makes the cell refer to nothing.
  void Erase() { Set(Erased(), nullptr); }

  // The key, which may be kept from now on; null if there is none or it was
  // found dead.
  void* ReadKey() const {
    return ReadWeak([this]() -> void* {
      void* key = key_.Load();
      return IsObject(key) ? key : nullptr;
    });
  }

 private:
  WeakWord key_;
  // Strong as long as the key lives: no read barrier, for whoever holds the key
  // finds it marked, or shaded by who overwrote it.
  WeakWord value_;
};

}  // namespace bibop::internal

#endif  // BIBOP_MARKER_WEAK_WORD_H_
