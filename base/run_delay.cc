#include "bibop/base/run_delay.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bibop {
namespace {

constexpr int kNotOpened = -1;
constexpr int kNone = -2;

// The thread's /proc/thread-self/schedstat. Outlives StatisticsCloser, so that
// it can be read whenever the thread runs.
thread_local int statistics = kNotOpened;

struct StatisticsCloser {
  StatisticsCloser() = default;
  StatisticsCloser(const StatisticsCloser&) = delete;
  StatisticsCloser& operator=(const StatisticsCloser&) = delete;
  ~StatisticsCloser() {
    if (statistics >= 0) close(statistics);
    statistics = kNone;
  }
};

void Open() {
  thread_local const StatisticsCloser closer;
  statistics = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (statistics < 0) statistics = kNone;
}

}  // namespace

absl::Duration ThreadRunDelay() {
  if (statistics == kNotOpened) Open();
  if (statistics < 0) return absl::ZeroDuration();
  // "RUNNING WAITING SLICES", the first two in nanoseconds.
  char text[64];
  const ssize_t size = pread(statistics, text, sizeof(text), 0);
  if (size <= 0) return absl::ZeroDuration();
  absl::string_view waiting(text, static_cast<size_t>(size));
  waiting.remove_prefix(waiting.find(' ') + 1);
  waiting = waiting.substr(0, waiting.find(' '));
  int64_t nanoseconds = 0;
  if (!absl::SimpleAtoi(waiting, &nanoseconds)) return absl::ZeroDuration();
  return absl::Nanoseconds(nanoseconds);
}

}  // namespace bibop
