#include "bibop/handles/root_origin.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace bibop {
namespace {

constexpr size_t kMostLines = 20;

std::string CountOf(size_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace

std::string DescribeRemainingRoots(absl::Span<const RemainingRoot> roots) {
  using Group =
      std::tuple<absl::string_view, absl::string_view, uint32_t, bool>;
  std::map<Group, size_t> groups;
  size_t weak = 0;
  for (const RemainingRoot& root : roots) {
    const auto& [type, place] = root.origin;
    ++groups[{place.file_name(), type, place.line(), root.weak}];
    weak += root.weak ? 1 : 0;
  }
  const size_t strong = roots.size() - weak;

  std::string text = "a heap is destroyed before ";
  if (strong > 0) absl::StrAppend(&text, CountOf(strong, "Persistent"));
  if (strong > 0 && weak > 0) absl::StrAppend(&text, " and ");
  if (weak > 0) absl::StrAppend(&text, CountOf(weak, "WeakPersistent"));
  absl::StrAppend(&text, roots.size() == 1 ? ", which refers" : ", which refer",
                  " to nothing from now on:");

  std::vector<std::pair<Group, size_t>> lines(groups.begin(), groups.end());
  std::ranges::sort(lines, [](const auto& a, const auto& b) {
    return std::tie(b.second, a.first) < std::tie(a.second, b.first);
  });
  const size_t shown = std::min(lines.size(), kMostLines);
  size_t rest = roots.size();
  for (size_t i = 0; i < shown; ++i) {
    const auto& [group, count] = lines[i];
    const auto& [file, type, line, is_weak] = group;
    absl::StrAppend(&text, "\n  ", count, is_weak ? " Weak" : " ",
                    "Persistent<", type, "> made at ", file, ":", line);
    rest -= count;
  }
  if (rest > 0) absl::StrAppend(&text, "\n  and ", rest, " more");
  return text;
}

}  // namespace bibop
