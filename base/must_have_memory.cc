#include "bibop/base/must_have_memory.h"

#include <cstdio>
#include <cstdlib>

namespace bibop::internal {

// Not through the log, which allocates.
void DieOutOfMemory() noexcept {
  std::fputs(
      "bibop: out of memory during a collection, which cannot be given up "
      "half-way: threads are stopped for it. Limit the heap by "
      "HeapOptions::max_bytes to less than there is\n",
      stderr);
  std::abort();
}

}  // namespace bibop::internal
