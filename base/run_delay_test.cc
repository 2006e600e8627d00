#include "bibop/base/run_delay.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

bool SystemTells() { return access("/proc/thread-self/schedstat", R_OK) == 0; }

// The processor that this thread runs on becomes the only one that it, and
// threads that it starts, may run on.
void StayHere() {
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(sched_getcpu(), &here);
  ASSERT_EQ(pthread_setaffinity_np(pthread_self(), sizeof(here), &here), 0);
}

// Two threads want one processor until this one has waited for some time.
// Returns how long it took.
absl::Duration Contend(absl::Duration at_least) {
  StayHere();
  const absl::Time start = absl::Now();
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done.load(std::memory_order_relaxed)) {
    }
  });
  const absl::Duration before = ThreadRunDelay();
  while (ThreadRunDelay() - before < at_least &&
         absl::Now() - start < absl::Seconds(30)) {
  }
  done.store(true, std::memory_order_relaxed);
  other.join();
  return absl::Now() - start;
}

TEST(RunDelayTest, GrowsWhileAnotherThreadHasTheProcessor) {
  if (!SystemTells()) GTEST_SKIP() << "this system keeps no count";
  std::thread([] {
    constexpr absl::Duration kLong = absl::Milliseconds(20);
    const absl::Duration before = ThreadRunDelay();
    const absl::Duration took = Contend(kLong);
    const absl::Duration waited = ThreadRunDelay() - before;
    EXPECT_GE(waited, kLong);
    EXPECT_LE(waited, took);
  }).join();
}

TEST(RunDelayTest, SleepIsNoDelay) {
  constexpr absl::Duration kSleep = absl::Milliseconds(50);
  const absl::Time start = absl::Now();
  const absl::Duration before = ThreadRunDelay();
  absl::SleepFor(kSleep);
  EXPECT_LE(ThreadRunDelay() - before, absl::Now() - start - kSleep);
}

TEST(RunDelayTest, EachThreadHasItsOwn) {
  if (!SystemTells()) GTEST_SKIP() << "this system keeps no count";
  std::thread([] {
    Contend(absl::Milliseconds(20));
    const absl::Time start = absl::Now();
    absl::Duration others;
    absl::Duration age;
    std::thread([&] {
      others = ThreadRunDelay();
      age = absl::Now() - start;
    }).join();
    EXPECT_LE(others, age);
    EXPECT_LT(others, ThreadRunDelay());
  }).join();
}

struct AsksAtTheEnd {
  ~AsksAtTheEnd() { *answer = ThreadRunDelay(); }
  absl::Duration* answer;
};

TEST(RunDelayTest, IsZeroForAThreadThatComesToItsEnd) {
  absl::Duration answer = absl::InfiniteDuration();
  std::thread([&] {
    // Destroyed after what the first call leaves to be destroyed.
    thread_local const AsksAtTheEnd asks = {&answer};
    static_cast<void>(asks);
    ThreadRunDelay();
  }).join();
  EXPECT_EQ(answer, absl::ZeroDuration());
}

TEST(RunDelayTest, IsZeroWhereTheSystemDoesNotTell) {
  if (SystemTells()) GTEST_SKIP() << "this system keeps count";
  EXPECT_EQ(ThreadRunDelay(), absl::ZeroDuration());
}

}  // namespace
}  // namespace bibop
