#include "bibop/benchmarks/heap_flags.h"

#include <cstddef>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/runtime/heap_options.h"

ABSL_FLAG(bool, generations, bibop::HeapOptions{}.generations,
          "whether Bibop's heaps have minor collections");
ABSL_FLAG(int, young_mib, bibop::HeapOptions{}.young_bytes >> 20,
          "MiB allocated between two minor collections: 1 to 65536");

namespace bibop::benchmarks {

absl::Status CheckHeapFlags() {
  return CheckFlag("young_mib", absl::GetFlag(FLAGS_young_mib), 1, 65536);
}

HeapOptions HeapOptionsFromFlags() {
  HeapOptions options;
  options.generations = absl::GetFlag(FLAGS_generations);
  options.young_bytes = size_t{1} << 20;
  options.young_bytes *= static_cast<size_t>(absl::GetFlag(FLAGS_young_mib));
  return options;
}

}  // namespace bibop::benchmarks
