// What a marker has come across of weak references, for the end of the mark and
// for the clearing after it.
//
// Owned by a marker; its lists refer to words in objects that it has traced,
// which live until the cycle after.

#ifndef BIBOP_MARKER_WEAK_LISTS_H_
#define BIBOP_MARKER_WEAK_LISTS_H_

#include <atomic>
#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "bibop/marker/death_watch.h"
#include "bibop/marker/weak_word.h"

namespace bibop::internal {

// Neighbouring cells, and the number of cells in use of the table that they are
// part of, if of any.
struct EphemeronCells {
  const EphemeronCell* first = nullptr;
  size_t count = 0;
  std::atomic<size_t>* in_use = nullptr;
};

struct WeakLists {
  std::vector<const WeakWord*> words;
  std::vector<const DeathWatch*> watches;
  // Not yet looked at.
  std::vector<EphemeronCells> ephemerons;

  // Takes what `other` has.
  void Absorb(WeakLists& other) {
    const auto take = [](auto& into, auto& from) {
      into.insert(into.end(), from.begin(), from.end());
      from.clear();
    };
    take(words, other.words);
    take(watches, other.watches);
    take(ephemerons, other.ephemerons);
  }
};

// Ephemerons whose key was not marked when they were looked at, by key: so that
// what waits for an object is found the moment that it is marked, and a chain
// of ephemerons takes time in proportion to its length, not to its square. (V8
// does it like this.)
class PendingEphemerons {
 public:
  struct Pending {
    const EphemeronCell* cell;
    std::atomic<size_t>* in_use;
  };

  // Adds a cell that waits for the object that begins at `key`, or whose key is
  // gone, if that is null. The cell's words are to be cleared in the end if
  // they then refer to dead objects.
  void Add(const void* key, Pending pending) {
    const size_t index = all_.size();
    all_.push_back(pending);
    next_.push_back(kNone);
    if (key == nullptr) return;
    const auto [at, is_new] = waiting_.try_emplace(key, index);
    if (!is_new) next_[index] = std::exchange(at->second, index);
  }

  // Calls `resolve` for the cells that wait for the object that begins at
  // `key`: it was marked.
  template <class F>
  void Resolve(const void* key, F resolve) {
    const auto at = waiting_.find(key);
    if (at == waiting_.end()) return;
    for (size_t i = at->second; i != kNone; i = next_[i]) {
      resolve(*all_[i].cell);
    }
    waiting_.erase(at);
  }

  // Whether no cell waits for a key.
  bool IsNobodyWaiting() const { return waiting_.empty(); }

  // All that were ever added.
  const std::vector<Pending>& all() const { return all_; }

 private:
  static constexpr size_t kNone = ~size_t{0};

  std::vector<Pending> all_;
  // For each of them the next one that waits for the same key.
  std::vector<size_t> next_;
  // The first one for each key.
  absl::flat_hash_map<const void*, size_t> waiting_;
};

}  // namespace bibop::internal

#endif  // BIBOP_MARKER_WEAK_LISTS_H_
