#include "bibop/marker/marker_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/marker/ephemeron.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_member.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

// While it exists the process gets room for the stacks of so many threads more.
class RoomForThreads {
 public:
  explicit RoomForThreads(size_t threads) {
    pthread_attr_t attributes;
    pthread_getattr_default_np(&attributes);
    pthread_attr_getstacksize(&attributes, &stack_bytes_);
    SetStackBytes(kLargeStack);
    getrlimit(RLIMIT_AS, &limit_);
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit lower = limit_;
    lower.rlim_cur = pages * static_cast<size_t>(getpagesize()) +
                     threads * kLargeStack + kLargeStack / 2;
    EXPECT_EQ(setrlimit(RLIMIT_AS, &lower), 0);
  }
  RoomForThreads(const RoomForThreads&) = delete;
  RoomForThreads& operator=(const RoomForThreads&) = delete;
  ~RoomForThreads() {
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit_), 0);
    SetStackBytes(stack_bytes_);
  }

 private:
  // Much more than anything else that a test asks for.
  static constexpr size_t kLargeStack = size_t{4} << 30;

  static void SetStackBytes(size_t bytes) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    EXPECT_EQ(pthread_attr_setstacksize(&attributes, bytes), 0);
    EXPECT_EQ(pthread_setattr_default_np(&attributes), 0);
    pthread_attr_destroy(&attributes);
  }

  size_t stack_bytes_ = 0;
  rlimit limit_ = {};
};

class MarkerPoolTest : public MarkingTest {
 protected:
  void MarkWith(MarkerPool& pool) {
    BeginMark();
    EXPECT_TRUE(pool.Drain(*marker_, /*cancelled=*/false));
    FinishMark();
    EndCycle();
  }
};

// A regression: the thread that started late waited for the first round, and
// everyone for it.
TEST_F(MarkerPoolTest, AThreadThatWasRefusedJoinsALaterRound) {
  MarkerPool pool(*heap_, /*helpers=*/2);
  {
    const RoomForThreads room(1);
    MarkWith(pool);
  }
  MarkWith(pool);
  MarkWith(pool);
}

TEST_F(MarkerPoolTest, OneMarksWhereTheSystemRefusesAllThreads) {
  MarkerPool pool(*heap_, /*helpers=*/2);
  {
    const RoomForThreads room(0);
    MarkWith(pool);
  }
  MarkWith(pool);
}

// ---- threads that assist ----

// Objects whose Trace waits until that of another is called by another thread.
struct Meeting {
  std::atomic<int> came = 0;
  std::atomic<int> met = 0;
};
struct Guest {
  explicit Guest(Meeting& where) : meeting(&where) {}
  void Trace(auto& visitor) const {
    visitor(friends);
    ++meeting->came;
    const absl::Time late = absl::Now() + absl::Seconds(20);
    while (meeting->came < 2 && absl::Now() < late) std::this_thread::yield();
    if (meeting->came == 2) ++meeting->met;
  }
  Meeting* meeting;
  Member<WatchedNode> friends;
};

TEST_F(MarkerPoolTest, WhoWaitsForTheMarkMarksMeanwhile) {
  MarkerPool pool(*heap_, /*helpers=*/0);
  Meeting meeting;
  HandleScope scope(mutator_);
  const Handle<Guest> rooted = scope.New<Guest>(meeting);
  const Guest* other = nullptr;
  {
    HandleScope inner(mutator_);
    rooted->friends = New(inner);
    const Handle<Guest> guest = inner.New<Guest>(meeting);
    guest->friends = New(inner);
    other = guest.get();
  }
  pool.BeginMark();
  BeginMark();
  // What a barrier has saved, and others find.
  heap_->mark_queue().Add({other});
  std::thread waiting([&] { pool.Assist(1); });
  EXPECT_TRUE(pool.Drain(*marker_, /*cancelled=*/false));
  pool.EndMark();
  waiting.join();
  EXPECT_EQ(meeting.met, 2);
  EXPECT_EQ(marker_->counts().objects, 4) << "what it marked counts";
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

// An object whose Trace waits until it is let go on.
struct Gate {
  explicit Gate(std::atomic<bool>& is_open) : open(&is_open) {}
  void Trace(auto& visitor) const {
    visitor(node);
    const absl::Time late = absl::Now() + absl::Seconds(20);
    while (!*open && absl::Now() < late) std::this_thread::yield();
  }
  std::atomic<bool>* open;
  Member<WatchedNode> node;
};

TEST_F(MarkerPoolTest, WhoMarksALittleLeavesTheRestToOthers) {
  constexpr int kNodes = 5000;
  constexpr int kSome = 1000;
  // To take so many at once counts as much as to mark them.
  constexpr int kBatches = 2 * 128;
  MarkerPool pool(*heap_, /*helpers=*/0);
  std::atomic<bool> open = false;
  HandleScope scope(mutator_);
  scope.New<Gate>(open);
  MarkQueue::Batch batch;
  {
    HandleScope inner(mutator_);
    for (int i = 0; i < kNodes; ++i) batch.push_back(New(inner).get());
  }
  // There is no mark.
  pool.AssistWith(kSome);
  BeginMark();
  heap_->mark_queue().Add(batch);
  const auto marked = [&] {
    return std::ranges::count_if(
        batch, [this](const void* node) { return heap_->IsMarked(node); });
  };
  std::thread drains(
      [&] { EXPECT_TRUE(pool.Drain(*marker_, /*cancelled=*/false)); });
  // From when the other is at the gate on.
  const absl::Time late = absl::Now() + absl::Seconds(20);
  while (marked() == 0 && absl::Now() < late) pool.AssistWith(kSome);
  const auto once = marked();
  EXPECT_GE(once, kSome - kBatches);
  EXPECT_LE(once, kSome + kBatches);
  pool.AssistWith(kSome);
  EXPECT_GE(marked(), once + kSome - kBatches);
  EXPECT_LE(marked(), once + kSome + kBatches);
  open = true;
  drains.join();
  EXPECT_EQ(marked(), kNodes);
  EXPECT_EQ(marker_->counts().objects, kNodes + 1);
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), kNodes);
}

// What is left of an array goes to who drives: to visit all of it would keep a
// mutator for long.
TEST_F(MarkerPoolTest, WhoMarksALittleLeavesMostOfALargeArray) {
  MarkerPool pool(*heap_, /*helpers=*/0);
  constexpr size_t kNodes = 100'000;
  constexpr size_t kSome = 1000;
  std::atomic<bool> open = false;
  HandleScope scope(mutator_);
  scope.New<Gate>(open);
  using Nodes = Array<Member<WatchedNode>>;
  const Nodes* array = nullptr;
  {
    HandleScope inner(mutator_);
    const Handle<Nodes> nodes = inner.NewArray<Member<WatchedNode>>(kNodes);
    for (Member<WatchedNode>& node : *nodes) {
      HandleScope innermost(mutator_);
      node = New(innermost);
    }
    array = nodes.get();
  }
  BeginMark();
  heap_->mark_queue().Add({array});
  std::thread drains(
      [&] { EXPECT_TRUE(pool.Drain(*marker_, /*cancelled=*/false)); });
  const absl::Time late = absl::Now() + absl::Seconds(20);
  while (!heap_->IsMarked(array) && absl::Now() < late) pool.AssistWith(kSome);
  const auto marked = std::ranges::count_if(
      *array, [this](const auto& node) { return heap_->IsMarked(node.get()); });
  EXPECT_LE(marked, 2 * kSome);
  open = true;
  drains.join();
  EXPECT_EQ(marker_->counts().objects, kNodes + 2);
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), kNodes);
}

struct Watcher {
  void Trace(auto& visitor) const {
    visitor(seen);
    visitor(table);
  }
  WeakMember<WatchedNode> seen;
  Ephemeron<WatchedNode, WatchedNode> table;
};

// A regression: what they had marked was added to the marker of who drives,
// which it was using.
TEST_F(MarkerPoolTest, WhatOthersFindMeanwhileIsNotLost) {
  MarkerPool pool(*heap_, /*helpers=*/0);
  constexpr size_t kWatchers = 20'000;
  HandleScope scope(mutator_);
  const auto watchers = scope.NewArray<Member<Watcher>>(kWatchers);
  const Handle<WatchedNode> key = New(scope);
  for (Member<Watcher>& watcher : *watchers) {
    HandleScope inner(mutator_);
    watcher = inner.New<Watcher>();
    watcher->table.Set(key, New(inner));
  }
  for (int round = 0; round < 3; ++round) {
    for (const Member<Watcher>& watcher : *watchers) {
      HandleScope inner(mutator_);
      watcher->seen = New(inner);
    }
    pool.BeginMark();
    BeginMark();
    std::atomic<bool> over = false;
    std::thread helps([&] {
      while (!over) pool.AssistWith(300);
    });
    do {
      EXPECT_TRUE(pool.Drain(*marker_, /*cancelled=*/false));
    } while (!marker_->DrainEphemerons(1000));
    pool.EndMark();
    over = true;
    helps.join();
    // The array, the key, the watchers and the values.
    EXPECT_EQ(marker_->counts().objects, 2 * kWatchers + 2);
    FinishMark();
    EndCycle();
    for (const Member<Watcher>& watcher : *watchers) {
      ASSERT_TRUE(watcher->seen.IsEmpty());
    }
    EXPECT_EQ(lifetimes_.alive(), kWatchers + 1);
  }
}

TEST_F(MarkerPoolTest, WhoWaitsIsFreeWhenTheMarkIsOver) {
  MarkerPool pool(*heap_, /*helpers=*/1);
  pool.Assist(1);
  for (int round = 1; round <= 100; ++round) {
    pool.BeginMark();
    // It came too late, and this is another mark.
    pool.Assist(round - 1);
    std::vector<std::thread> waiting;
    for (int i = 0; i < 3; ++i) {
      waiting.emplace_back([&pool, round] { pool.Assist(round); });
    }
    // More than one to a mark, as where a pause finds that it is not over.
    for (int i = 0; i < round % 3; ++i) MarkWith(pool);
    pool.EndMark();
    for (std::thread& thread : waiting) thread.join();
  }
}

}  // namespace
}  // namespace bibop
