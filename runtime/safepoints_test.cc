// Stopping threads, handshakes, and what becomes of threads that do not take
// part: through a heap, with real threads.

#include "bibop/runtime/safepoints.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/log_severity.h"
#include "absl/log/absl_check.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

// The protocol by itself. Each thread counts in a plain int of its mutator,
// which ThreadSanitizer watches: the collector touches it only when it may.
class SafepointsTest : public ::testing::Test {
 protected:
  struct Thread {
    int touched = 0;
    int answered = 0;
  };
  // A thread's part, between attaching and detaching.
  class Attached {
   public:
    Attached(SafepointsTest& test, Thread& thread)
        : test_(test), thread_(thread), mutator_(*test.heap_) {
      {
        absl::MutexLock lock(test.mutex_);
        test.threads_.push_back({&mutator_, &thread});
      }
      EXPECT_TRUE(test.safepoints_.Attach(mutator_, state_));
    }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    ~Attached() {
      test_.safepoints_.Detach(mutator_);
      absl::MutexLock lock(test_.mutex_);
      std::erase(test_.threads_,
                 std::pair<MutatorBase*, Thread*>(&mutator_, &thread_));
    }
    void Touch() { ++thread_.touched; }
    void Poll() {
      if (state_.IsRequested()) test_.safepoints_.StopHere(mutator_);
    }
    void Park() {
      if (!state_.TryPark()) test_.safepoints_.ParkSlow(mutator_);
    }
    void Unpark() {
      if (!state_.TryUnpark()) test_.safepoints_.UnparkSlow(mutator_);
    }

   private:
    SafepointsTest& test_;
    Thread& thread_;
    TestMutator mutator_;
    MutatorState state_;
  };

  Thread& ThreadOf(MutatorBase& mutator) {
    absl::MutexLock lock(mutex_);
    const auto at = std::ranges::find(threads_, &mutator,
                                      &std::pair<MutatorBase*, Thread*>::first);
    EXPECT_TRUE(at != threads_.end());
    return *at->second;
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  Safepoints safepoints_{absl::Seconds(20)};
  absl::Mutex mutex_;
  std::vector<std::pair<MutatorBase*, Thread*>> threads_
      ABSL_GUARDED_BY(mutex_);
};

TEST_F(SafepointsTest, NoMutatorRunsInAStoppedWorldOrBesideItsHandshake) {
  constexpr int kThreads = 4;
  std::atomic<bool> over = false;
  std::vector<Thread> counts(kThreads);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t, &over, &counts] {
      uint32_t random = static_cast<uint32_t>(t) + 1;
      while (!over) {
        Attached self(*this, counts[t]);
        for (int i = 0; i < 200; ++i) {
          random = random * 1664525 + 1013904223;
          self.Touch();
          if (random >> 28 == 0) {
            self.Park();
            if (random >> 24 == 0) std::this_thread::yield();
            self.Unpark();
          } else {
            self.Poll();
          }
        }
      }
    });
  }
  int answers = 0;
  // On a busy machine some begin late.
  std::set<const Thread*> seen;
  for (int i = 0; i < 2000 || seen.size() < kThreads; ++i) {
    if (i % 2 == 0) {
      const std::vector<MutatorBase*> stopped = safepoints_.StopTheWorld();
      for (MutatorBase* mutator : stopped) {
        Thread& thread = ThreadOf(*mutator);
        ++thread.touched;
        seen.insert(&thread);
      }
      safepoints_.ResumeTheWorld();
    } else {
      std::atomic<int> answered = 0;
      safepoints_.Handshake([this, &answered](MutatorBase& mutator) {
        ++ThreadOf(mutator).answered;
        ++answered;
      });
      answers += answered;
    }
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  int answered = 0;
  for (const Thread& thread : counts) {
    EXPECT_GT(thread.touched, 0);
    answered += thread.answered;
  }
  EXPECT_EQ(answered, answers) << "each once";
  EXPECT_TRUE(safepoints_.DescribeAttached().empty());
}

TEST_F(SafepointsTest, AParkedThreadAnswersAndIsNotWaitedFor) {
  absl::Notification parked;
  absl::Notification over;
  Thread counts;
  std::thread thread([&] {
    Attached self(*this, counts);
    self.Park();
    parked.Notify();
    over.WaitForNotification();
    self.Unpark();
    self.Touch();
  });
  parked.WaitForNotification();
  EXPECT_EQ(safepoints_.StopTheWorld().size(), 1u);
  safepoints_.ResumeTheWorld();
  safepoints_.Handshake(
      [this](MutatorBase& mutator) { ++ThreadOf(mutator).answered; });
  EXPECT_EQ(counts.answered, 1);
  over.Notify();
  thread.join();
  EXPECT_EQ(counts.touched, 1);
}

// A regression: the collector waited for the answer for ever.
TEST_F(SafepointsTest, AnAnswerThatFindsNoMemoryEndsTheProgram) {
  EXPECT_DEATH(
      {
        absl::Notification attached;
        Thread counts;
        std::thread thread([&] {
          Attached self(*this, counts);
          attached.Notify();
          for (;;) {
            try {
              self.Poll();
            } catch (const std::bad_alloc&) {
              std::_Exit(0);
            }
          }
        });
        attached.WaitForNotification();
        safepoints_.Handshake([](MutatorBase&) { throw std::bad_alloc(); });
      },
      "out of memory during a collection");
}

// A regression: the stopped world had a mutator that was gone.
TEST_F(SafepointsTest, WhoLeavesInsteadOfStoppingIsNotInTheStoppedWorld) {
  for (int i = 0; i < 200; ++i) {
    absl::Notification attached;
    Thread counts;
    std::thread thread([&] {
      Attached self(*this, counts);
      attached.Notify();
    });
    attached.WaitForNotification();
    for (MutatorBase* mutator : safepoints_.StopTheWorld()) {
      ++ThreadOf(*mutator).touched;
    }
    safepoints_.ResumeTheWorld();
    thread.join();
  }
}

// Keeps the warnings.
class WarningSink final : public absl::LogSink {
 public:
  WarningSink() { absl::AddLogSink(this); }
  ~WarningSink() override { absl::RemoveLogSink(this); }
  void Send(const absl::LogEntry& entry) override {
    if (entry.log_severity() != absl::LogSeverity::kWarning) return;
    absl::MutexLock lock(mutex_);
    text_.append(entry.text_message());
  }
  std::string text() {
    absl::MutexLock lock(mutex_);
    return text_;
  }

 private:
  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

TEST(HeapSafepoints, AThreadThatKeepsOthersWaitingIsNamed) {
  absl::Duration longest;
  auto heap =
      Heap::Create({.safepoint_warning = absl::Milliseconds(20),
                    .on_cycle_end =
                        [&](const CycleStats& cycle) {
                          longest = std::max(longest, cycle.time_to_safepoint);
                        }})
          .value();
  WarningSink sink;
  absl::Notification attached;
  absl::Notification over;
  std::thread thread([&] {
    pthread_setname_np(pthread_self(), "dawdler");
    MutatorScope mutator(*heap);
    attached.Notify();
    over.WaitForNotification();
  });
  attached.WaitForNotification();
  std::thread helper([&] {
    while (sink.text().find("dawdler") == std::string::npos) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    over.Notify();
  });
  heap->Collect();
  helper.join();
  thread.join();
  EXPECT_GE(longest, absl::Milliseconds(20));
  EXPECT_NE(sink.text().find("ParkedScope"), std::string::npos);
}

TEST(HeapSafepointsDeathTest, AThreadThatEndsWhileItIsAttachedIsTold) {
  auto heap = Heap::Create({}).value();
  EXPECT_DEATH(
      std::thread([&heap] { heap->Attach().value().release(); }).join(),
      "a thread ends while it is attached");
}

TEST(HeapSafepointsDeathTest, AProcessMayExitWhileAThreadIsAttached) {
  auto heap = Heap::Create({}).value();
  EXPECT_EXIT(
      {
        MutatorScope mutator(*heap);
        std::exit(3);
      },
      ::testing::ExitedWithCode(3), "");
}

// What a child of a fork may do with its parent's heap, as its exit says.
template <class F>
int InChild(F what) {
  const pid_t child = fork();
  if (child == 0) {
    what();
    _exit(7);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(HeapForkTest, AChildMayOnlyExit) {
  auto heap = Heap::Create({}).value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  scope.New<int>(1);
  EXPECT_EQ(InChild([] {}), 7);
  EXPECT_EQ(InChild([&] { heap->Collect(); }), -SIGABRT);
  EXPECT_EQ(InChild([&] { scope.NewArray<int>(100); }), -SIGABRT);
#ifndef ABSL_HAVE_THREAD_SANITIZER
  // It lets no child of a program with threads start one.
  EXPECT_EQ(InChild([&] { std::thread([&] { (void)heap->Attach(); }).join(); }),
            -SIGABRT);
#endif
  EXPECT_EQ(InChild([&] { heap.reset(); }), -SIGABRT);
  // A regression: what its threads waited for was held by threads of the
  // parent.
  EXPECT_EQ(InChild([] {
              ABSL_CHECK(absl::IsFailedPrecondition(Heap::Create({}).status()));
            }),
            7);
  heap->Collect();
}

// The same of a child that would wait for what its parent's threads had begun.
template <class F>
int InImpatientChild(F what) {
  return InChild([&what] {
    alarm(20);
    what();
  });
}

#ifndef ABSL_HAVE_THREAD_SANITIZER
// It lets no child of a program with threads start one.
TEST(HeapForkTest, AChildOfAParentWithoutHeapsMakesItsOwn) {
  Heap::Create({}).value().reset();
  EXPECT_EQ(InChild([] {
              auto own = Heap::Create({}).value();
              MutatorScope mutator(*own);
              HandleScope scope(mutator);
              scope.New<int>(2);
              own->Collect();
            }),
            7);
}
#endif

// A regression: the child waited for the end of the request for ever.
TEST(HeapForkTest, AChildIsToldWhileACollectorWaitsForItsThread) {
  auto heap =
      Heap::Create({.safepoint_warning = absl::Milliseconds(1)}).value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  WarningSink sink;
  std::thread collector([&heap] { heap->Collect(); });
  while (sink.text().find("the collector") == std::string::npos) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(InImpatientChild([&] { mutator.Safepoint(); }), -SIGABRT);
  EXPECT_EQ(InImpatientChild([&] { const ParkedScope parked(mutator); }),
            -SIGABRT);
  const ParkedScope parked(mutator);
  collector.join();
}

// Its Trace takes as long as a test likes.
struct TracedSlowly {
  enum State { kFast, kSlow, kBegun };
  explicit TracedSlowly(std::atomic<State>& s) : state(s) {}
  std::atomic<State>& state;
  void Trace(auto& /*visitor*/) const {
    if (state != kSlow) return;
    state = kBegun;
    while (state != kFast) absl::SleepFor(absl::Milliseconds(1));
  }
};

TEST(HeapForkTest, AParkedChildIsToldWhileTheWorldIsStopped) {
  auto heap = Heap::Create({.mode = CollectionMode::kStopTheWorld}).value();
  MutatorScope attached(*heap);
  Mutator& mutator = attached;
  HandleScope scope(mutator);
  std::atomic<TracedSlowly::State> state = TracedSlowly::kSlow;
  scope.New<TracedSlowly>(state);
  std::optional<ParkedScope> parked(std::in_place, mutator);
  std::thread collector([&heap] { heap->Collect(); });
  while (state != TracedSlowly::kBegun) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(InImpatientChild([&] { parked.reset(); }), -SIGABRT);
  state = TracedSlowly::kFast;
  collector.join();
}

TEST(HeapForkTest, AChildDoesNotDetach) {
  auto heap = Heap::Create({}).value();
  std::unique_ptr<Mutator> mutator = heap->Attach().value();
  EXPECT_EQ(InChild([&] { mutator.reset(); }), -SIGABRT);
  EXPECT_EQ(InChild([&] { heap->AdjustExternalBytes(1); }), -SIGABRT);
  EXPECT_EQ(InChild([&] { (void)heap->stats(); }), -SIGABRT);
}

// One thread, two heaps: parked in one, it runs in the other.
TEST(HeapSafepoints, AThreadParkedInOneHeapRunsInAnother) {
  auto one = Heap::Create({}).value();
  auto other = Heap::Create({}).value();
  MutatorScope in_one(*one);
  MutatorScope in_other(*other);
  const ParkedScope parked(in_one);
  std::thread([&one] { one->Collect(); }).join();
  HandleScope scope(in_other);
  scope.New<int>(1);
  other->Collect();
  EXPECT_GE(one->stats().cycles, 1);
  EXPECT_GE(other->stats().cycles, 1);
}

}  // namespace
}  // namespace bibop
