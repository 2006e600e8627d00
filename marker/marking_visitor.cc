#include "bibop/marker/marking_visitor.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace bibop {

void MarkingVisitor::Grow() {
  const size_t size = stack_.size();
  stack_.resize(2 * size);
  top_ = bottom() + size;
  limit_ = EndOfStack();
}

size_t MarkingVisitor::TakeElements() {
  if (arrays_.empty()) return 0;
  const Elements array = arrays_.back();
  const size_t count = std::min(array.count, kMostAtOnce);
  // First, for the elements may have large arrays themselves.
  arrays_.pop_back();
  const size_t place = arrays_.size();
  const void* next = array.visit(array.first, count, *this);
  if (count < array.count) {
    arrays_.insert(arrays_.begin() + static_cast<std::ptrdiff_t>(place),
                   {next, array.count - count, array.visit});
  }
  return count;
}

std::vector<const void*> MarkingVisitor::TakeHalf() {
  constexpr size_t kFewest = 64;
  constexpr size_t kMost = 4096;
  const auto size = static_cast<size_t>(top_ - bottom());
  if (size < kFewest) return {};
  const auto first = stack_.begin();
  const auto middle =
      first + static_cast<std::ptrdiff_t>(std::min(size / 2, kMost));
  std::vector<const void*> half(first, middle);
  std::copy(middle, first + static_cast<std::ptrdiff_t>(size), first);
  top_ -= half.size();
  return half;
}

}  // namespace bibop
