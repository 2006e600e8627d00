// Progress of a long loop, for a person who waits for it.
//
// On a terminal this is a bar that redraws itself; elsewhere, in a log, a line
// for every tenth of the work. Borrows its stream; one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPH_PROGRESS_H_
#define BIBOP_EXAMPLES_PKGRAPH_PROGRESS_H_

#include <cstdint>
#include <ostream>
#include <string>

namespace bibop::pkgraph {

// The progress of one loop of `total` rounds.
class Progress {
 public:
  // `what` is what the rounds are called, such as "rebuilds".
  //
  // REQUIRES: total > 0
  Progress(std::ostream& output, bool is_terminal, std::string what,
           int64_t total);

  // Says that `done` rounds, of `total`, are over.
  void Update(int64_t done);

 private:
  void Draw(int64_t done);

  std::ostream& output_;
  const bool is_terminal_;
  const std::string what_;
  const int64_t total_;
  int64_t tenths_ = 0;  // of the work, that a line was written for
};

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_PROGRESS_H_
