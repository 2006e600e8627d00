#include "bibop/examples/pkgraph/progress.h"

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

namespace bibop::pkgraph {

Progress::Progress(std::ostream& output, bool is_terminal, std::string what,
                   int64_t total)
    : output_(output),
      is_terminal_(is_terminal),
      what_(std::move(what)),
      total_(total) {}

void Progress::Update(int64_t done) {
  if (is_terminal_) {
    Draw(done);
    return;
  }
  const int64_t tenths = done * 10 / total_;
  if (tenths == tenths_) return;
  tenths_ = tenths;
  output_ << done << " of " << total_ << " " << what_ << " (" << tenths * 10
          << "%)" << std::endl;
}

void Progress::Draw(int64_t done) {
  constexpr int64_t kWidth = 40;
  const auto filled = static_cast<size_t>(kWidth * done / total_);
  std::string bar(kWidth, ' ');
  bar.replace(0, filled, filled, '#');
  output_ << "\r[" << bar << "] " << done << "/" << total_ << " " << what_
          << std::flush;
  if (done == total_) output_ << std::endl;
}

}  // namespace bibop::pkgraph
