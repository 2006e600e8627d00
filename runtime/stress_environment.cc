#include "bibop/runtime/stress_environment.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {
namespace {

template <class T>
struct Choice {
  absl::string_view name;
  T value;
};

constexpr auto kPhases = std::to_array<Choice<StressPhase>>({
    {"mark-start", StressPhase::kMarkStart},
    {"marking", StressPhase::kMarking},
    {"mark-finish", StressPhase::kMarkFinish},
    {"clearing", StressPhase::kClearing},
    {"sweeping", StressPhase::kSweeping},
});
constexpr auto kModes = std::to_array<Choice<CollectionMode>>({
    {"concurrent", CollectionMode::kConcurrent},
    {"incremental", CollectionMode::kIncremental},
    {"stop-the-world", CollectionMode::kStopTheWorld},
});
constexpr auto kMissingRoots = std::to_array<Choice<MissingRoots>>({
    {"report", MissingRoots::kReport},
    {"abort", MissingRoots::kAbort},
});
constexpr auto kVerifyLevels = std::to_array<Choice<VerifyLevel>>({
    {"exact", VerifyLevel::kExact},
});

// One item of the list: NAME or NAME=VALUE.
struct Item {
  absl::string_view name;
  std::optional<absl::string_view> value;
};

template <class... Parts>
absl::Status Error(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("BIBOP_STRESS: ", parts...));
}

absl::Status ExpectNoValue(const Item& item) {
  if (!item.value.has_value()) return absl::OkStatus();
  return Error(item.name, " takes no value, and has '", *item.value, "'");
}

template <class T, size_t n>
absl::Status SetChoice(const Item& item,
                       const std::array<Choice<T>, n>& choices, T& to) {
  const auto at =
      std::ranges::find(choices, item.value.value_or(""), &Choice<T>::name);
  if (at != choices.end()) {
    to = at->value;
    return absl::OkStatus();
  }
  return Error(
      item.name, " is '", item.value.value_or(""), "'; it may be ",
      absl::StrJoin(choices, ", ", [](std::string* out, const Choice<T>& c) {
        absl::StrAppend(out, c.name);
      }));
}

template <class T>
absl::Status SetNumber(const Item& item, T& to) {
  T number = 0;
  if (absl::SimpleAtoi(item.value.value_or(""), &number) && number >= 1) {
    to = number;
    return absl::OkStatus();
  }
  return Error(item.name, " is '", item.value.value_or(""),
               "'; it may be a number from 1");
}

absl::Status SetFlag(const Item& item, bool& to) {
  to = true;
  return ExpectNoValue(item);
}

absl::Status SetVerify(const Item& item, VerifyLevel& to) {
  if (item.value.has_value()) return SetChoice(item, kVerifyLevels, to);
  to = VerifyLevel::kReachable;
  return absl::OkStatus();
}

absl::Status ApplyItem(const Item& item, HeapOptions& options) {
  StressOptions& stress = options.stress;
  if (item.name == "every-nth-allocation") {
    return SetNumber(item, stress.every_nth_allocation);
  }
  if (item.name == "every-safepoint") {
    return SetFlag(item, stress.every_safepoint);
  }
  if (item.name == "phase") return SetChoice(item, kPhases, stress.phase);
  if (item.name == "verify") return SetVerify(item, stress.verify);
  if (item.name == "clobber") return SetFlag(item, stress.clobber);
  if (item.name == "missing-roots") {
    return SetChoice(item, kMissingRoots, stress.missing_roots);
  }
  if (item.name == "mode") return SetChoice(item, kModes, options.mode);
  if (item.name == "markers") return SetNumber(item, options.markers);
  if (item.name == "seed") return SetNumber(item, stress.seed);
  return Error("'", item.name,
               "' is unknown; there are every-nth-allocation=N, "
               "every-safepoint, phase=PHASE, verify, verify=exact, clobber, "
               "missing-roots=report, missing-roots=abort, mode=MODE, "
               "markers=N, seed=S");
}

}  // namespace

absl::Status ApplyStress(absl::string_view text, HeapOptions& options) {
  HeapOptions changed = options;
  absl::flat_hash_set<absl::string_view> seen;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> split =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    Item item = {split.first, std::nullopt};
    if (item.name.size() < part.size()) item.value = split.second;
    if (!seen.insert(item.name).second) {
      return Error(item.name, " is there twice");
    }
    if (absl::Status s = ApplyItem(item, changed); !s.ok()) return s;
  }
  options = changed;
  return absl::OkStatus();
}

absl::Status ApplyStressFromEnvironment(HeapOptions& options) {
  if (options.stress.ignore_environment) return absl::OkStatus();
  // NOLINTNEXTLINE(concurrency-mt-unsafe): it only reads
  const char* text = std::getenv("BIBOP_STRESS");
  if (text == nullptr || *text == '\0') return absl::OkStatus();
  return ApplyStress(text, options);
}

}  // namespace bibop
