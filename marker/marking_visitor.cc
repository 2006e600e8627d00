#include "bibop/marker/marking_visitor.h"

#include <algorithm>
#include <cstddef>

namespace bibop {

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

}  // namespace bibop
