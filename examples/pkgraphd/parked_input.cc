#include "bibop/examples/pkgraphd/parked_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <streambuf>
#include <string>
#include <string_view>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

absl::StatusOr<std::unique_ptr<ParkedInput>> ParkedInput::Open(
    Mutator& mutator, std::string_view path, double rest,
    const absl::Notification& stop) {
  const ParkedScope parked(mutator);
  // Non-blocking: a pipe without a writer opens, and then poll waits for one.
  const int file =
      open(pkgraph::Resolve(path).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return pkgraph::CannotOpen(path, errno);
  return absl::WrapUnique(new ParkedInput(mutator, path, rest, stop, file));
}

ParkedInput::ParkedInput(Mutator& mutator, std::string_view path, double rest,
                         const absl::Notification& stop, int file)
    : mutator_(mutator),
      path_(path),
      rest_(rest),
      stop_(stop),
      file_(file),
      piece_read_(Clock::now()),
      buffer_(std::make_unique<char[]>(kBytes)) {}

ParkedInput::~ParkedInput() { close(file_); }

ParkedInput::int_type ParkedInput::underflow() {
  if (!status_.ok()) return traits_type::eof();
  absl::StatusOr<size_t> size;
  {
    const ParkedScope parked(mutator_);
    stop_.WaitForNotificationWithTimeout(std::min(
        rest_ * absl::FromChrono(Clock::now() - piece_read_), kMaxRest));
    size = Read();
    piece_read_ = Clock::now();
  }
  if (!size.ok()) {
    status_ = size.status();
    return traits_type::eof();
  }
  setg(buffer_.get(), buffer_.get(), buffer_.get() + *size);
  return *size == 0 ? traits_type::eof() : traits_type::to_int_type(*gptr());
}

absl::StatusOr<size_t> ParkedInput::Read() {
  constexpr int kLookMilliseconds = 50;
  while (!stop_.HasBeenNotified()) {
    pollfd ready = {.fd = file_, .events = POLLIN, .revents = 0};
    if (poll(&ready, 1, kLookMilliseconds) <= 0) continue;
    const ssize_t size = read(file_, buffer_.get(), kBytes);
    if (size >= 0) return static_cast<size_t>(size);
    if (errno == EINTR || errno == EAGAIN) continue;
    return absl::DataLossError(
        absl::StrCat(path_, ": cannot be read: ", std::strerror(errno)));
  }
  return absl::CancelledError(
      absl::StrCat(path_, ": was not read to its end: the service ends"));
}

}  // namespace bibop::pkgraphd
