#include "bibop/benchmarks/heap_flags.h"

#include <cstddef>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/runtime/heap_options.h"

ABSL_FLAG(bool, generations, bibop::HeapOptions{}.generations,
          "whether Bibop's heaps have minor collections");
ABSL_FLAG(double, growth_factor, bibop::HeapOptions{}.growth_factor,
          "over what is alive, to which Bibop's heaps grow: 1.1 to 16");
ABSL_FLAG(double, processors_per_gib, 0,
          "the price of memory, where Bibop's heaps grow by the square root "
          "rule: 0.001 to 1000; 0: they grow by the factor");
ABSL_FLAG(int, soft_limit_mib, 0,
          "the soft limit of Bibop's heaps in MiB: 1 to 65536; 0: none but "
          "the default");
ABSL_FLAG(int, young_mib, bibop::HeapOptions{}.young_bytes >> 20,
          "MiB allocated between two minor collections: 1 to 65536");

ABSL_FLAG(int, markers, bibop::HeapOptions{}.markers,
          "threads that mark: 1 to 256, or 0 for a quarter of the processors");

namespace bibop::benchmarks {

absl::Status CheckHeapFlags() {
  absl::Status status =
      CheckFlag("young_mib", absl::GetFlag(FLAGS_young_mib), 1, 65536);
  status.Update(CheckFlag("markers", absl::GetFlag(FLAGS_markers), 0, 256));
  status.Update(CheckFlag("soft_limit_mib", absl::GetFlag(FLAGS_soft_limit_mib),
                          0, 65536));
  if (status.ok()) status = Validate(HeapOptionsFromFlags());
  return status;
}

HeapOptions HeapOptionsFromFlags() {
  HeapOptions options;
  options.generations = absl::GetFlag(FLAGS_generations);
  options.young_bytes = size_t{1} << 20;
  options.young_bytes *= static_cast<size_t>(absl::GetFlag(FLAGS_young_mib));
  options.markers = absl::GetFlag(FLAGS_markers);
  options.growth_factor = absl::GetFlag(FLAGS_growth_factor);
  options.soft_limit_bytes = size_t{1} << 20;
  options.soft_limit_bytes *=
      static_cast<size_t>(absl::GetFlag(FLAGS_soft_limit_mib));
  const double price = absl::GetFlag(FLAGS_processors_per_gib);
  if (price != 0) {
    options.pacing = Pacing::kSquareRoot;
    options.processors_per_gib = price;
  }
  return options;
}

}  // namespace bibop::benchmarks
