#include "bibop/examples/pkgraphd/parked_input.h"

#include <istream>
#include <memory>
#include <streambuf>

#include "absl/time/clock.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

ParkedInput::ParkedInput(Mutator& mutator, std::istream& source, double rest)
    : mutator_(mutator),
      source_(source),
      rest_(rest),
      piece_read_(absl::Now()),
      buffer_(std::make_unique<char[]>(kBytes)) {}

ParkedInput::int_type ParkedInput::underflow() {
  {
    const ParkedScope parked(mutator_);
    absl::SleepFor(rest_ * (absl::Now() - piece_read_));
    source_.read(buffer_.get(), kBytes);
    piece_read_ = absl::Now();
  }
  setg(buffer_.get(), buffer_.get(), buffer_.get() + source_.gcount());
  return source_.gcount() == 0 ? traits_type::eof()
                               : traits_type::to_int_type(*gptr());
}

}  // namespace bibop::pkgraphd
