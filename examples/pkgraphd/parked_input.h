// ParkedInput: reads a file for a thread that runs in a heap, without letting
// collections wait for a disk or a pipe; and, if that is wanted, without taking
// a processor all the time.
//
//   absl::StatusOr<std::unique_ptr<ParkedInput>> buffer =
//       ParkedInput::Open(mutator, "Packages", /*rest=*/1, stop);
//   std::istream input(buffer->get());
//   ...                        // to the end
//   (*buffer)->status()        // whether that was the end of the file
//
// Used by the mutator's thread, which is running; any thread may notify `stop`.
// It owns the file.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_PARKED_INPUT_H_
#define BIBOP_EXAMPLES_PKGRAPHD_PARKED_INPUT_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <streambuf>
#include <string>
#include <string_view>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

class ParkedInput : public std::streambuf {
 public:
  // The longest rest at a time. Longer ones are cut: the thread, which other
  // processes may have kept waiting, has not worked for so long.
  static constexpr absl::Duration kMaxRest = absl::Milliseconds(50);

  // Opens `path`, which is read in pieces of 256 KiB, with the mutator parked
  // meanwhile. NotFound or another error with the system's reason if that
  // fails. A pipe need not have a writer yet.
  //
  // After the thread has worked with a piece for some time, it rests `rest`
  // times as long, parked, for others to work. 0 is no rest.
  //
  // Once `stop` is notified no more is read, and a read that waits for a pipe's
  // writer ends within a tenth of a second.
  static absl::StatusOr<std::unique_ptr<ParkedInput>> Open(
      Mutator& mutator ABSL_ATTRIBUTE_LIFETIME_BOUND, std::string_view path,
      double rest,
      const absl::Notification& stop ABSL_ATTRIBUTE_LIFETIME_BOUND);

  ~ParkedInput() override;
  ParkedInput(const ParkedInput&) = delete;
  ParkedInput& operator=(const ParkedInput&) = delete;

  // OK unless the stream ended before the file did: Cancelled if it was
  // stopped, DataLoss with the system's reason if the file cannot be read.
  const absl::Status& status() const { return status_; }

 protected:
  int_type underflow() override;

 private:
  using Clock = std::chrono::steady_clock;  // the day's time may jump

  static constexpr size_t kBytes = size_t{256} << 10;

  ParkedInput(Mutator& mutator, std::string_view path, double rest,
              const absl::Notification& stop, int file);

  // Reads a piece into buffer_. Returns its size, which is 0 at the end.
  absl::StatusOr<size_t> Read();

  Mutator& mutator_;
  const std::string path_;
  const double rest_;
  const absl::Notification& stop_;
  const int file_;
  Clock::time_point piece_read_;
  absl::Status status_;
  const std::unique_ptr<char[]> buffer_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_PARKED_INPUT_H_
