#include "bibop/marker/marker_pool.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <fstream>

#include "bibop/marker/marking_fixture.h"
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

}  // namespace
}  // namespace bibop
