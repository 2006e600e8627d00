// DeathWatch: an object of the heap that has somebody told, once, that another
// object was found dead. What FinalizationRegistry is made of.
//
// Made by a running mutator, and shown to the marker, like any object, by what
// keeps it alive. A watch that is found dead itself tells nothing.

#ifndef BIBOP_MARKER_DEATH_WATCH_H_
#define BIBOP_MARKER_DEATH_WATCH_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "bibop/marker/weak_word.h"

namespace bibop::internal {

// Who is told. Both functions are called by the collector.
class DeathObserver {
 public:
  virtual ~DeathObserver() = default;

  // The object of the watch with this id was found dead. Mutators may run or be
  // stopped: it must neither use the heap nor wait for who does. Returns
  // whether Notify is to be called.
  virtual bool OnDeath(uint64_t id) = 0;

  // OnDeath said so a moment ago; no mutator is stopped.
  virtual void Notify() = 0;
};

class DeathWatch final {
 public:
  // Has `observer` told of the death of `object`, with this id.
  DeathWatch(const volatile void* object, uint64_t id,
             std::shared_ptr<DeathObserver> observer)
      : object_(object), id_(id), observer_(std::move(observer)) {}

  // For the collector.
  const WeakWord& object() const { return object_; }
  uint64_t id() const { return id_; }
  const std::shared_ptr<DeathObserver>& observer() const { return observer_; }

  void Trace(auto& visitor) const { visitor.VisitDeathWatch(*this); }

 private:
  WeakWord object_;
  const uint64_t id_;
  // Lives as long as this: whoever it stood for may be gone before.
  const std::shared_ptr<DeathObserver> observer_;
};

}  // namespace bibop::internal

#endif  // BIBOP_MARKER_DEATH_WATCH_H_
