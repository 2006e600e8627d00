// ParkedInput: reads a stream for a thread that runs in a heap, without letting
// collections wait for a disk or a pipe; and, if that is wanted, without taking
// a processor all the time.
//
//   ParkedInput buffer(mutator, file, /*rest=*/1);
//   std::istream input(&buffer);
//
// Used by the mutator's thread, which is running.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_PARKED_INPUT_H_
#define BIBOP_EXAMPLES_PKGRAPHD_PARKED_INPUT_H_

#include <cstddef>
#include <istream>
#include <memory>
#include <streambuf>

#include "absl/base/attributes.h"
#include "absl/time/time.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

class ParkedInput : public std::streambuf {
 public:
  // Reads `source`, with the mutator parked meanwhile, in pieces of 256 KiB.
  // After the thread has worked with a piece for some time, it rests `rest`
  // times as long, parked, for others to work. 0 is no rest.
  ParkedInput(Mutator& mutator ABSL_ATTRIBUTE_LIFETIME_BOUND,
              std::istream& source ABSL_ATTRIBUTE_LIFETIME_BOUND, double rest);

 protected:
  int_type underflow() override;

 private:
  static constexpr size_t kBytes = size_t{256} << 10;

  Mutator& mutator_;
  std::istream& source_;
  const double rest_;
  absl::Time piece_read_;
  const std::unique_ptr<char[]> buffer_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_PARKED_INPUT_H_
