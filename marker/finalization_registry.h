// FinalizationRegistry<Held>: calls a function of the program's for each object
// that died, on a thread of the program's choosing. For what a destructor may
// not do: allocate, collect, look at other objects, take a lock that some
// thread holds while it allocates or collects, for destructors run in there.
//
//   FinalizationRegistry<std::string> temporaries(
//       [](std::string path) { std::filesystem::remove(path); });
//   temporaries.Register(mutator, document, document->path);
//   ...
//   temporaries.RunPending(mutator);     // now and then
//
// Each object is registered with a held value, which is what the function gets:
// the object itself is gone. So what is held may not keep the object alive, as
// a Persistent to it would. An object may be registered several times, and in
// several registries. One registry may serve several heaps.
//
// A collection that finds an object dead makes its held value pending, before
// or after the object's destructor runs, and costs time in proportion to what
// is registered. Each value that was registered is given to the function once,
// or returned by Unregister, or dropped with the registry: also those of
// objects that live as long as their heap, and die with it.
//
//   what                              which thread
//   Register, RunPending              a running mutator's
//   Unregister, counts, make          any
//   destroy                           any, when nobody uses it
//
// Several threads may use it at the same time. It may be destroyed before the
// objects and their heaps, or after.

#ifndef BIBOP_MARKER_FINALIZATION_REGISTRY_H_
#define BIBOP_MARKER_FINALIZATION_REGISTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/log/absl_check.h"
#include "absl/synchronization/mutex.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/coroutine_ban.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"
#include "bibop/handles/persistent.h"
#include "bibop/marker/death_watch.h"

namespace bibop {

// Names what was registered, for FinalizationRegistry::Unregister.
enum class Registration : uint64_t {};

template <class Held>
class FinalizationRegistry {
 public:
  static_assert(!ObjectReference<Held> || RootReference<Held>,
                "a held value lies outside of the heap: make it a Persistent "
                "if it refers to an object");
  static_assert(!IsScoped<Held>,
                "a handle is for the stack, and a held value "
                "outlives its scope: make it a Persistent");

  // What is called, by RunPending. Several threads that call that may call it
  // at the same time.
  using Callback = absl::AnyInvocable<void(Held) const>;
  // Called by the thread that collects, which may be in an allocation, when a
  // value has become pending, unless it was called before and neither has
  // RunPending been since, nor were all values unregistered. So that the
  // program can have RunPending called soon: it posts a task, or writes to an
  // eventfd. It may neither use a heap, nor wait for a thread that does, nor
  // destroy the registry. What it throws is logged and dropped; it is then
  // called again when the next value becomes pending.
  using Hook = absl::AnyInvocable<void() const>;

  explicit FinalizationRegistry(Callback callback, Hook on_pending = nullptr)
      : callback_(std::move(callback)),
        state_(std::make_shared<State>(std::move(on_pending))) {}
  FinalizationRegistry(const FinalizationRegistry&) = delete;
  FinalizationRegistry& operator=(const FinalizationRegistry&) = delete;

  // Drops what is registered or pending. Waits for the hook, if that is
  // running; it is not called afterwards.
  ~FinalizationRegistry() { state_->Close(); }

  // From now on, once the object that `object`, a Handle, MutableHandle, Member
  // or Persistent, refers to has died, `held` is given to the callback. May
  // collect. Aborts if it refers to nothing. `place` as for a Persistent.
  template <ObjectReference R>
  Registration Register(
      MutatorBase& mutator, const R& object, Held held,
      std::source_location place = std::source_location::current())
      ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    HandleScope scope(mutator);
    const auto target = scope.Local(object);
    ABSL_CHECK(!target.IsEmpty())
        << "nothing is registered for finalization: test the reference first";
    const uint64_t id = state_->NewId();
    const Handle<internal::DeathWatch> watch = scope.New<internal::DeathWatch>(
        target.ToHandleChecked().get(), id, state_);
    state_->Add(id, std::make_unique<Record>(std::move(held),
                                             Persistent<internal::DeathWatch>(
                                                 mutator, watch, place)));
    return Registration{id};
  }

  // Forgets a registration, and returns what was held; nothing if the callback
  // was given it, or another call.
  std::optional<Held> Unregister(Registration registration) {
    std::unique_ptr<Record> record =
        state_->Take(static_cast<uint64_t>(registration));
    if (record == nullptr) return std::nullopt;
    return std::move(record->held);
  }

  // Calls the callback for each value that is pending now, in no particular
  // order, and returns how many those were. The callback may do whatever the
  // calling code may: allocate, collect, register, unregister, call this. What
  // becomes pending meanwhile stays so, and the hook is called for it. If the
  // callback throws, the rest stays pending: the exception says so, and the
  // hook is called when the next value becomes pending. Aborts in a destructor
  // or a Trace.
  size_t RunPending(MutatorBase& mutator) ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    mutator.CheckMayCollect();
    mutator.object_heap().CheckMayCollect();
    mutator.handles().CheckRunningHere("a FinalizationRegistry's RunPending");
    size_t ran = 0;
    for (size_t most = state_->BeginRun(); ran < most; ++ran) {
      std::unique_ptr<Record> record = state_->TakePending();
      if (record == nullptr) break;
      record->watch.Reset();
      callback_(std::move(record->held));
    }
    return ran;
  }

  // How many values are held, pending ones included, and how many are pending.
  size_t size() const { return state_->size(); }
  size_t pending() const { return state_->pending(); }

 private:
  struct Record {
    Held held;
    // Keeps the watch alive.
    Persistent<internal::DeathWatch> watch;
    // Whether the object was found dead.
    bool pending = false;
  };

  // Outlives the registry while there are watches: the collector may be about
  // to tell it of a death.
  class State final : public internal::DeathObserver {
   public:
    explicit State(Hook on_pending) : on_pending_(std::move(on_pending)) {}

    uint64_t NewId() {
      return 1 + last_id_.fetch_add(1, std::memory_order_relaxed);
    }
    void Add(uint64_t id, std::unique_ptr<Record> record)
        ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      records_.emplace(id, std::move(record));
    }
    // Null if it was taken before.
    std::unique_ptr<Record> Take(uint64_t id) ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      return TakeLocked(id);
    }
    // How many are pending. For what becomes so from now on the hook is called.
    size_t BeginRun() ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      notified_ = false;
      return pending_;
    }
    // Null if none is pending.
    std::unique_ptr<Record> TakePending() ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      std::unique_ptr<Record> record;
      while (record == nullptr && !dead_.empty()) {
        record = TakeLocked(dead_.front());
        dead_.pop_front();
      }
      return record;
    }
    size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      return records_.size();
    }
    size_t pending() const ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      return pending_;
    }

    bool OnDeath(uint64_t id) override ABSL_LOCKS_EXCLUDED(mutex_) {
      const absl::MutexLock lock(mutex_);
      const auto found = records_.find(id);
      if (found == records_.end()) return false;
      found->second->pending = true;
      dead_.push_back(id);
      ++pending_;
      return !std::exchange(notified_, true);
    }
    void Notify() override ABSL_LOCKS_EXCLUDED(mutex_, hook_mutex_) {
      const absl::MutexLock hook_lock(hook_mutex_);
      if (!on_pending_) return;
      absl::Cleanup nobody_knows = [this] {
        const absl::MutexLock lock(mutex_);
        notified_ = false;
      };
      on_pending_();
      std::move(nobody_knows).Cancel();
    }

    void Close() ABSL_LOCKS_EXCLUDED(mutex_, hook_mutex_) {
      {
        const absl::MutexLock lock(hook_mutex_);
        on_pending_ = nullptr;
      }
      // Destroyed after the lock is released.
      absl::flat_hash_map<uint64_t, std::unique_ptr<Record>> dropped;
      const absl::MutexLock lock(mutex_);
      dropped.swap(records_);
    }

   private:
    std::unique_ptr<Record> TakeLocked(uint64_t id)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      auto node = records_.extract(id);
      if (node.empty()) return nullptr;
      if (node.mapped()->pending && --pending_ == 0) notified_ = false;
      return std::move(node.mapped());
    }

    // Numbers: relaxed.
    std::atomic<uint64_t> last_id_ = 0;
    // Never held at a safepoint, nor while anything of the program's runs.
    mutable absl::Mutex mutex_;
    absl::flat_hash_map<uint64_t, std::unique_ptr<Record>> records_
        ABSL_GUARDED_BY(mutex_);
    // Of objects that were found dead, and among them those that were
    // unregistered since.
    std::deque<uint64_t> dead_ ABSL_GUARDED_BY(mutex_);
    // How many records are pending.
    size_t pending_ ABSL_GUARDED_BY(mutex_) = 0;
    // Whether the hook was called for them, or is about to be, and no
    // RunPending has begun since.
    bool notified_ ABSL_GUARDED_BY(mutex_) = false;
    // Held while the hook runs. Taken before the other mutex.
    absl::Mutex hook_mutex_;
    Hook on_pending_ ABSL_GUARDED_BY(hook_mutex_);
  };

  const Callback callback_;
  const std::shared_ptr<State> state_;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_FINALIZATION_REGISTRY_H_
