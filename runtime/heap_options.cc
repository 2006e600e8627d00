#include "bibop/runtime/heap_options.h"

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "bibop/heap/cage.h"

namespace bibop {
namespace {

template <class T>
absl::Status InRange(absl::string_view name, T value, T low, T high) {
  if (value >= low && value <= high) return absl::OkStatus();  // not for NaN
  return absl::InvalidArgumentError(absl::StrCat(
      "HeapOptions::", name, " is ", value, "; it may be ", low, " to ", high));
}

}  // namespace

absl::Status Validate(const HeapOptions& options) {
  constexpr size_t kMinMaxBytes = size_t{1} << 20;
  constexpr size_t kMinBudget = size_t{64} << 10;
  absl::Status status =
      InRange("max_bytes", options.max_bytes, kMinMaxBytes, Cage::kCapacity);
  if (options.soft_limit_bytes != 0) {
    status.Update(InRange("soft_limit_bytes", options.soft_limit_bytes,
                          kMinMaxBytes, Cage::kCapacity));
  }
  status.Update(InRange("min_budget_bytes", options.min_budget_bytes,
                        kMinBudget, Cage::kCapacity));
  status.Update(InRange("small_heap_bytes", options.small_heap_bytes,
                        kMinBudget, Cage::kCapacity));
  status.Update(
      InRange("young_bytes", options.young_bytes, kMinBudget, Cage::kCapacity));
  status.Update(InRange("growth_factor", options.growth_factor, 1.1, 16.0));
  status.Update(
      InRange("processors_per_gib", options.processors_per_gib, 0.001, 1000.0));
  status.Update(InRange("markers", options.markers, 0, 256));
  status.Update(InRange("safepoint_warning", options.safepoint_warning,
                        absl::Milliseconds(1), absl::InfiniteDuration()));
  status.Update(InRange("stress.every_nth_allocation",
                        options.stress.every_nth_allocation, int64_t{0},
                        std::numeric_limits<int64_t>::max()));
  if (options.decommit_half_life != absl::InfiniteDuration()) {
    status.Update(InRange("decommit_half_life", options.decommit_half_life,
                          absl::ZeroDuration(), absl::Hours(1)));
  }
  return status;
}

}  // namespace bibop
