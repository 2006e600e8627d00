// Tracked: a part of an object that tells when it is constructed and destroyed,
// so that a test can see that an object lives and that it dies.
//
//   Lifetimes lifetimes;
//   scope.New<Node>(lifetimes);       // Node has a field `Tracked tracked`
//   EXPECT_EQ(lifetimes.alive(), 1);

#ifndef BIBOP_TESTING_TRACKED_H_
#define BIBOP_TESTING_TRACKED_H_

#include <atomic>

namespace bibop::testing {

// What became of the Tracked objects made with it. Must outlive them, and so
// the heap. Any thread may use it.
class Lifetimes {
 public:
  Lifetimes() = default;
  Lifetimes(const Lifetimes&) = delete;
  Lifetimes& operator=(const Lifetimes&) = delete;

  // How many were constructed, how many destroyed, and the difference.
  int born() const { return born_; }
  int dead() const { return dead_; }
  int alive() const { return born_ - dead_; }

 private:
  friend class Tracked;

  // Sums; destructors run on any thread. Relaxed: a test that waits for a
  // destructor waits for the collector, which orders.
  std::atomic<int> born_ = 0;
  std::atomic<int> dead_ = 0;
};

class Tracked {
 public:
  explicit Tracked(Lifetimes& lifetimes) : lifetimes_(lifetimes) {
    lifetimes_.born_.fetch_add(1, std::memory_order_relaxed);
  }
  Tracked(const Tracked&) = delete;
  Tracked& operator=(const Tracked&) = delete;
  ~Tracked() { lifetimes_.dead_.fetch_add(1, std::memory_order_relaxed); }

 private:
  Lifetimes& lifetimes_;
};

}  // namespace bibop::testing

#endif  // BIBOP_TESTING_TRACKED_H_
