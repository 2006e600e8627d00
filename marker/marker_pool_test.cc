#include "bibop/marker/marker_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/member.h"
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
  std::thread waiting([&] { pool.Assist(); });
  EXPECT_TRUE(pool.Drain(*marker_, /*cancelled=*/false));
  pool.EndMark();
  waiting.join();
  EXPECT_EQ(meeting.met, 2);
  EXPECT_EQ(marker_->counts().objects, 4) << "what it marked counts";
  FinishMark();
  EndCycle();
  EXPECT_EQ(lifetimes_.alive(), 2);
}

TEST_F(MarkerPoolTest, WhoWaitsIsFreeWhenTheMarkIsOver) {
  MarkerPool pool(*heap_, /*helpers=*/1);
  pool.Assist();
  for (int round = 0; round < 100; ++round) {
    pool.BeginMark();
    std::vector<std::thread> waiting;
    for (int i = 0; i < 3; ++i) waiting.emplace_back([&] { pool.Assist(); });
    // More than one to a mark, as where a pause finds that it is not over.
    for (int i = 0; i < round % 3; ++i) MarkWith(pool);
    pool.EndMark();
    for (std::thread& thread : waiting) thread.join();
  }
}

}  // namespace
}  // namespace bibop
