// Layouts: the same code at several places.
//
//   struct Work {
//     void operator()(int x) const { ... }
//   };
//   Layouts<Work, int> work;
//   for (...) work(7);  // takes the places in turn
//
// Where in a line of the instruction cache a short loop begins can decide
// whether an iteration takes one cycle or two. It is nothing that either of two
// contestants has earned, and changes with any line of the program: who takes
// all places in turn measures the average.

#ifndef BIBOP_BENCHMARKS_LAYOUTS_H_
#define BIBOP_BENCHMARKS_LAYOUTS_H_

#include <cstddef>
#include <type_traits>

#include "absl/base/attributes.h"

namespace bibop::benchmarks {

// Work is a class without data. Used by one thread.
template <class Work, class... Args>
class Layouts {
 public:
  // Does the work once, in a function that the compiler sees alone.
  void operator()(Args... args) {
    kPlaces[next_](args...);
    next_ = (next_ + 1) % kCount;
  }

 private:
  static_assert(std::is_empty_v<Work>);

  // Compilers align loops to 16 bytes themselves.
  static constexpr size_t kCount = 4;
  static constexpr int kLine = 64;

  template <int kOffset>
  [[gnu::aligned(kLine)]] ABSL_ATTRIBUTE_NOINLINE static void Place(
      Args... args) {
    asm volatile(
        ".rept %c0\n\t"
        "nop\n\t"
        ".endr"
        :
        : "i"(kOffset));
    Work()(args...);
  }

  static constexpr void (*kPlaces[kCount])(Args...) = {Place<0>, Place<16>,
                                                       Place<32>, Place<48>};

  size_t next_ = 0;
};

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_LAYOUTS_H_
