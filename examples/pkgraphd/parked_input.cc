#include "bibop/examples/pkgraphd/parked_input.h"

#include <istream>
#include <memory>
#include <streambuf>

#include "bibop/gc.h"

namespace bibop::pkgraphd {

ParkedInput::ParkedInput(Mutator& mutator, std::istream& source)
    : mutator_(mutator),
      source_(source),
      buffer_(std::make_unique<char[]>(kBytes)) {}

ParkedInput::int_type ParkedInput::underflow() {
  {
    const ParkedScope parked(mutator_);
    source_.read(buffer_.get(), kBytes);
  }
  setg(buffer_.get(), buffer_.get(), buffer_.get() + source_.gcount());
  return source_.gcount() == 0 ? traits_type::eof()
                               : traits_type::to_int_type(*gptr());
}

}  // namespace bibop::pkgraphd
