// What one thread of random_threads_test.cc does with the graph and its shadow
// (random_graph.h): everything that a mutator may do, at random.
//
// A Worker is used by one thread, and while that stands still by the one that
// checks. Shared says what all threads use.

#ifndef BIBOP_RUNTIME_RANDOM_WORKER_H_
#define BIBOP_RUNTIME_RANDOM_WORKER_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/absl_check.h"
#include "absl/synchronization/mutex.h"
#include "bibop/handles/array.h"
#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/random_graph.h"

namespace bibop {

using Id = Shadow::Id;

struct Padding {
  int64_t padding = 0;
};

// Nodes of many sizes; references to them point into their middles.
template <size_t n>
struct Sized : Padding, Node {
  Sized(Shadow& shadow, Id id) : Node(shadow, id, own) {}
  std::array<uint8_t, n> own;
};

// With bytes behind it.
struct Extended : Node {
  Extended(Shadow& shadow, Id id, size_t extra)
      : Node(shadow, id, {reinterpret_cast<uint8_t*>(this + 1), extra}) {}
};

// Allocates another while it is constructed, and refers to it.
struct Nesting : Node {
  Nesting(Shadow& shadow, Id id, Mutator& mutator) : Node(shadow, id, {}) {
    HandleScope scope(mutator);
    const Id inner = shadow.NewId();
    const Handle<Sized<40>> node = scope.New<Sized<40>>(shadow, inner);
    const absl::MutexLock lock(shadow.LockOf(id));
    edges[0] = node;
    shadow.EdgeOf(id, 0) = inner;
  }
};

struct Failing : Node {
  Failing(Shadow& shadow, Id id) : Node(shadow, id, {}) { throw id; }
};

// What roots a node outside of the stack, and which it is.
template <class Root>
struct Kept {
  Root root;
  Id id = 0;
};

// What all threads share.
struct Shared {
  Shared(Heap& in, std::string where) : heap(in), shadow(std::move(where)) {}

  struct Shelf {
    absl::Mutex mutex;
    Kept<Persistent<Node>> kept ABSL_GUARDED_BY(mutex);
  };

  Heap& heap;
  Shadow shadow;
  std::array<Shelf, 32> shelves;
  // Keeps many alive. Its elements are written and read by all at once.
  Persistent<Node::More> table;
  std::span<Member<Node>> elements;
  // To be released by a thread that is not attached.
  absl::Mutex mutex;
  std::vector<Persistent<Node>> to_release ABSL_GUARDED_BY(mutex);
  // Says that the threads are to stand still soon.
  std::atomic<bool> pause = false;
  std::atomic<bool> end = false;
};

class Worker {
 public:
  Worker(Shared& shared, uint64_t seed) : shared_(shared), random_(seed) {}

  // Works until the end, and stands still now and then between the barriers.
  void Run(std::barrier<>& still, std::barrier<>& go_on) {
    while (!shared_.end) {
      if (shared_.pause || Random(20) == 0) {
        StandStillIfAsked(still, go_on, nullptr);
      }
      if (!shared_.end) Attach(still, go_on);
    }
    kept_.clear();
    watched_.clear();
  }

  // What it keeps and watches, while it stands still.
  void AddRoots(std::vector<Id>& roots) const {
    for (const auto& kept : kept_) roots.push_back(kept.id);
    roots.insert(roots.end(), ids_.begin(), ids_.end());
  }
  void CheckWatched(const std::vector<bool>& reached) const {
    for (const auto& watched : watched_) {
      ABSL_CHECK_EQ(watched.root.IsEmpty(), !reached[watched.id])
          << "a WeakPersistent of node " << watched.id
          << shared_.shadow.where();
    }
  }

 private:
  static constexpr size_t kLocals = 4;
  static constexpr size_t kMostKept = 50;
  using Locals = std::array<MutableHandle<Node>, kLocals>;

  uint64_t Random(uint64_t limit) { return random_() % limit; }

  void StandStillIfAsked(std::barrier<>& still, std::barrier<>& go_on,
                         Mutator* mutator) {
    if (!shared_.pause) return;
    std::optional<ParkedScope> parked;
    if (mutator != nullptr) parked.emplace(*mutator);
    still.arrive_and_wait();
    go_on.arrive_and_wait();
  }

  void Attach(std::barrier<>& still, std::barrier<>& go_on) {
    MutatorScope attached(shared_.heap);
    Mutator& mutator = attached;
    HandleScope scope(mutator);
    Locals locals = {scope.Mutable<Node>(), scope.Mutable<Node>(),
                     scope.Mutable<Node>(), scope.Mutable<Node>()};
    for (uint64_t left = Random(3000); left > 0 && !shared_.end; --left) {
      DoSomething(mutator, locals);
      if (shared_.pause) {
        mutator.Safepoint();
        StandStillIfAsked(still, go_on, &mutator);
      }
    }
    ids_ = {};
  }

  void DoSomething(Mutator& mutator, Locals& locals) {
    const size_t a = Random(kLocals);
    const size_t b = Random(kLocals);
    if (ids_[a] != 0) locals[a]->CheckAlive(ids_[a]);
    switch (Random(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Allocate(mutator, locals[a], ids_[a]);
      case 4:
        return Link(locals[a].get(), locals[b], ids_[b]);
      case 5:
        return Unlink(locals[a].get());
      case 6:
      case 7:
        return Follow(locals[a], ids_[a], locals[b].get());
      case 8:
        if (ids_[a] != 0) locals[a]->racy = locals[b];
        return;
      case 9:
        return FollowRacy(mutator, locals[a], ids_[a], locals[b].get());
      case 10:
        return UseArray(mutator, locals[a], locals[b]);
      case 11:
        return Keep(mutator, locals[a], ids_[a]);
      case 12:
        return Release(mutator);
      case 13:
        return UseKept(locals[a], ids_[a]);
      case 14:
        return UseShelf(mutator, locals[a], ids_[a]);
      case 15:
        return Watch(mutator, locals[a], ids_[a]);
      case 16:
        return Lock(mutator, locals[a], ids_[a]);
      case 17:
        return Forget(locals[a], ids_[a]);
      case 18:
        return Escape(mutator, locals[a], ids_[a]);
      case 19:
      case 20:
      case 21:
        InTable() = locals[a];
        return;
      case 22:
        return SetFrom(InTable(), locals[a], ids_[a]);
      default:
        return Rest(mutator);
    }
  }

  Member<Node>& InTable() {
    Node::More& table = *shared_.table;
    return table[Random(table.size())];
  }

  Handle<Node> New(HandleScope& scope, Mutator& mutator, Id id) {
    Shadow& shadow = shared_.shadow;
    const uint64_t kind = Random(1000);
    if (kind < 400) return scope.New<Sized<1>>(shadow, id);
    if (kind < 700) return scope.New<Sized<40>>(shadow, id);
    if (kind < 800) return scope.New<Sized<500>>(shadow, id);
    if (kind < 850) return scope.New<Sized<3000>>(shadow, id);
    if (kind < 870) return scope.New<Sized<30000>>(shadow, id);
    if (kind < 872) return scope.New<Sized<300000>>(shadow, id);
    if (kind < 930) return scope.New<Nesting>(shadow, id, mutator);
    const size_t extra = Random(2000);
    return scope.NewWithExtraBytes<Extended>(extra, shadow, id, extra);
  }

  void Allocate(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    if (!shared_.shadow.HasRoom()) return;
    HandleScope scope(mutator);
    const Id made = shared_.shadow.NewId();
    if (Random(100) == 0) {
      try {
        scope.New<Failing>(shared_.shadow, made);
      } catch (Id failed) {
        ABSL_CHECK_EQ(failed, made);
      }
      return;
    }
    const Handle<Node> node = New(scope, mutator, made);
    // Mostly lists grow, so that there is something to mark.
    if (Random(32) != 0) Link(node.get(), local, id);
    local = node;
    id = made;
  }

  template <class Reference>
  void Link(Node* from, const Reference& to, Id id) {
    if (from == nullptr) return;
    const size_t edge = Random(Shadow::kEdges);
    const absl::MutexLock lock(shared_.shadow.LockOf(from->id));
    from->edges[edge] = to;
    shared_.shadow.EdgeOf(from->id, edge) = id;
  }

  void Unlink(Node* from) {
    if (Random(32) == 0) Link(from, Member<Node>(), 0);
  }

  void Follow(MutableHandle<Node>& local, Id& id, Node* from) {
    if (from == nullptr) return;
    const size_t edge = Random(Shadow::kEdges);
    const absl::MutexLock lock(shared_.shadow.LockOf(from->id));
    local = from->edges[edge];
    id = shared_.shadow.EdgeOf(from->id, edge);
    ABSL_CHECK_EQ(id != 0, bool{local}) << shared_.shadow.where();
    if (id != 0) local->CheckAlive(id);
  }

  // Makes the local refer to what `source` does; the model has no word in it.
  template <class Reference>
  void SetFrom(const Reference& source, MutableHandle<Node>& local, Id& id) {
    local = source;
    id = 0;
    if (!local) return;
    id = local->id;
    local->CheckAlive(id);
  }

  void FollowRacy(Mutator& mutator, MutableHandle<Node>& local, Id& id,
                  Node* from) {
    if (from == nullptr) return;
    if (Random(2) == 0) return SetFrom(from->racy, local, id);
    HandleScope scope(mutator);
    const MaybeHandle<Node::More> more = scope.Local(from->more);
    if (more.IsEmpty()) return;
    const Handle<Node::More> array = more.ToHandleChecked();
    SetFrom((*array)[Random(array->size())], local, id);
  }

  void UseArray(Mutator& mutator, MutableHandle<Node>& from,
                MutableHandle<Node>& to) {
    if (!from) return;
    HandleScope scope(mutator);
    const MaybeHandle<Node::More> more = scope.Local(from->more);
    if (more.IsEmpty() || Random(10) == 0) {
      constexpr std::array<size_t, 3> kSizes = {3, 60, 3000};
      from->more = scope.NewArray<Member<Node>>(kSizes[Random(kSizes.size())]);
      return;
    }
    const Handle<Node::More> array = more.ToHandleChecked();
    (*array)[Random(array->size())] = to;
  }

  void Keep(Mutator& mutator, MutableHandle<Node>& local, Id id) {
    if (id == 0) return;
    if (kept_.size() == kMostKept) kept_.pop_back();
    kept_.push_back({Persistent<Node>(mutator, local), id});
  }

  void Release(Mutator& mutator) {
    if (kept_.empty()) return;
    std::swap(kept_[Random(kept_.size())], kept_.back());
    switch (Random(3)) {
      case 0: {
        const ParkedScope parked(mutator);
        kept_.pop_back();
        return;
      }
      case 1: {
        const absl::MutexLock lock(shared_.mutex);
        shared_.to_release.push_back(std::move(kept_.back().root));
        break;
      }
      default:
        break;
    }
    kept_.pop_back();
  }

  void UseKept(MutableHandle<Node>& local, Id& id) {
    if (kept_.empty()) return;
    const auto& kept = kept_[Random(kept_.size())];
    kept.root->CheckAlive(kept.id);
    local = kept.root;
    id = kept.id;
  }

  // Shelves pass Persistents from thread to thread.
  void UseShelf(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    Shared::Shelf& shelf = shared_.shelves[Random(shared_.shelves.size())];
    const absl::MutexLock lock(shelf.mutex);
    Kept<Persistent<Node>>& kept = shelf.kept;
    if (kept.id != 0) kept.root->CheckAlive(kept.id);
    if (Random(3) == 0 && !kept_.empty()) {
      std::swap(kept, kept_.back());
    } else if (id != 0 && Random(2) == 0) {
      kept.root.Reset(mutator, local);
      kept.id = id;
    } else if (kept.id != 0) {
      local = kept.root;
      id = kept.id;
    }
    if (!kept_.empty() && kept_.back().id == 0) kept_.pop_back();
  }

  void Watch(Mutator& mutator, MutableHandle<Node>& local, Id id) {
    if (id == 0) return;
    if (watched_.size() == kMostKept) {
      watched_.erase(watched_.begin() + Random(kMostKept));
    }
    watched_.push_back({WeakPersistent<Node>(mutator, local), id});
  }

  void Lock(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    if (watched_.empty()) return;
    const auto& watched = watched_[Random(watched_.size())];
    HandleScope scope(mutator);
    const MaybeHandle<Node> found = watched.root.Lock(scope);
    if (found.IsEmpty()) {
      // It was dead, so nobody can have it.
      const auto has_it = [&](const auto& kept) {
        return kept.id == watched.id;
      };
      ABSL_CHECK(std::ranges::none_of(kept_, has_it) &&
                 std::ranges::count(ids_, watched.id) == 0)
          << "node " << watched.id << " is kept and cannot be locked"
          << shared_.shadow.where();
      return;
    }
    local = found.ToHandleChecked();
    id = watched.id;
    local->CheckAlive(id);
  }

  void Forget(MutableHandle<Node>& local, Id& id) {
    if (Random(4) != 0) return;
    local = nullptr;
    id = 0;
  }

  Handle<Node> MakeInScopeOfItsOwn(Mutator& mutator, Id id) {
    EscapableHandleScope scope(mutator);
    const Handle<Node> node = New(scope, mutator, id);
    mutator.Safepoint();
    return scope.Escape(node);
  }

  void Escape(Mutator& mutator, MutableHandle<Node>& local, Id& id) {
    if (!shared_.shadow.HasRoom()) return;
    HandleScope scope(mutator);
    const Id made = shared_.shadow.NewId();
    local = MakeInScopeOfItsOwn(mutator, made);
    id = made;
  }

  void Rest(Mutator& mutator) {
    switch (Random(40)) {
      case 0:
        return shared_.heap.Collect(random_() % 2 == 0
                                        ? CollectionKind::kMinor
                                        : CollectionKind::kMajor);
      case 1:
      case 2: {
        const ParkedScope parked(mutator);
        std::this_thread::yield();
        return;
      }
      case 3:
        mutator.AdjustExternalBytes(100000);
        return shared_.heap.AdjustExternalBytes(-100000);
      default:
        return mutator.Safepoint();
    }
  }

  Shared& shared_;
  std::mt19937_64 random_;
  // The model of the locals.
  std::array<Id, kLocals> ids_ = {};
  std::vector<Kept<Persistent<Node>>> kept_;
  std::vector<Kept<WeakPersistent<Node>>> watched_;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_RANDOM_WORKER_H_
