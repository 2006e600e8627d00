// Race: threads that do the same work, started together, and the time they
// take.
//
//   Race race(threads, rounds);
//   race.Run([&race] {
//     ...  // a thread's own preparations, which are not timed
//     race.Repeat([] { ... });
//   });
//   race.wall()
//
// One thread makes the race and runs it once.

#ifndef BIBOP_BENCHMARKS_RACE_H_
#define BIBOP_BENCHMARKS_RACE_H_

#include <barrier>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bibop::benchmarks {

class Race {
 public:
  Race(int threads, int64_t rounds);
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;

  // Calls `body` on each thread, the calling one being one of them, so that a
  // race of one thread has the process to itself. Returns when all are done.
  void Run(absl::FunctionRef<void()> body) const;

  // Calls `round` as often as the race has rounds, after a few times to warm
  // up, when all threads are ready. Where the thread has to wait for the others
  // it calls `wait` with a function that does. To be called by `body`, once.
  template <class Round, class Wait>
  void Repeat(Round round, Wait wait) {
    for (int64_t i = rounds_ / kWarmUp; i >= 0; --i) round();
    wait([this] { start_.arrive_and_wait(); });
    const Times start = Now();
    for (int64_t i = 0; i < rounds_; ++i) round();
    Finish(start, Now());
  }

  // From the first thread's start to the last one's end.
  absl::Duration wall() const;

  // The processor time of all threads meanwhile. Unlike wall() it leaves out
  // what other processes took.
  absl::Duration cpu() const;

 private:
  struct Times {
    absl::Duration wall;
    absl::Duration cpu;  // of the calling thread
  };

  // One in so many rounds, besides all others, is to warm up.
  static constexpr int64_t kWarmUp = 8;

  static Times Now();
  void Finish(const Times& start, const Times& end);

  const int threads_;
  const int64_t rounds_;
  std::barrier<> start_;
  mutable absl::Mutex mutex_;
  absl::Duration first_start_ ABSL_GUARDED_BY(mutex_) =
      absl::InfiniteDuration();
  absl::Duration last_end_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  absl::Duration cpu_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
};

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_RACE_H_
