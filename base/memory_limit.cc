#include "bibop/base/memory_limit.h"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bibop {

std::optional<size_t> ControlGroupMemoryLimit(const std::string& root) {
  // Of version 2 there is one line, "0::/PATH".
  std::ifstream groups(absl::StrCat(root, "/proc/self/cgroup"));
  std::string path;
  for (std::string line; std::getline(groups, line);) {
    if (absl::StartsWith(line, "0::/")) path = line.substr(3);
  }
  if (path.empty()) return std::nullopt;
  std::optional<size_t> least;
  for (;;) {
    std::ifstream file(
        absl::StrCat(root, "/sys/fs/cgroup", path, "/memory.max"));
    std::string text;  // a number, or "max"
    size_t limit = 0;
    if (file >> text && absl::SimpleAtoi(text, &limit)) {
      least = std::min(least.value_or(limit), limit);
    }
    if (path.empty()) return least;
    path.resize(path.rfind('/'));
  }
}

}  // namespace bibop
