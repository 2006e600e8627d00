#include "bibop/benchmarks/contestants.h"

#include <cstdint>
#include <functional>
#include <vector>

#include "bibop/benchmarks/malloc_library.h"

namespace bibop::benchmarks {

std::vector<Contestant> OnEveryMalloc(
    const std::function<RunResult(int64_t size)>& run) {
  std::vector<Contestant> contestants;
  for (const Malloc malloc : {Malloc::kGlibc, Malloc::kTcmalloc,
                              Malloc::kJemalloc, Malloc::kMimalloc}) {
    contestants.push_back({LibraryOf(malloc).name, malloc, run});
  }
  return contestants;
}

}  // namespace bibop::benchmarks
