// Tracked: a part of an object that tells when it is constructed and destroyed,
// so that a test can see that an object lives and that it dies.
//
//   Lifetimes lifetimes;
//   scope.New<Node>(lifetimes);       // Node has a field `Tracked tracked`
//   EXPECT_EQ(lifetimes.alive(), 1);

#ifndef BIBOP_TESTING_TRACKED_H_
#define BIBOP_TESTING_TRACKED_H_

namespace bibop::testing {

// What became of the Tracked objects made with it. Must outlive them, and so
// the heap. Not synchronized.
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

  int born_ = 0;
  int dead_ = 0;
};

class Tracked {
 public:
  explicit Tracked(Lifetimes& lifetimes) : lifetimes_(lifetimes) {
    ++lifetimes_.born_;
  }
  Tracked(const Tracked&) = delete;
  Tracked& operator=(const Tracked&) = delete;
  ~Tracked() { ++lifetimes_.dead_; }

 private:
  Lifetimes& lifetimes_;
};

}  // namespace bibop::testing

#endif  // BIBOP_TESTING_TRACKED_H_
