#include "bibop/examples/pkgraphd/url.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace bibop::pkgraphd {
namespace {

enum class Plus { kIsPlus, kIsSpace };

absl::StatusOr<std::string> Decode(std::string_view text, Plus plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kIsSpace) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      std::string byte;
      if (!absl::HexStringToBytes(text.substr(i + 1, 2), &byte) ||
          byte.size() != 1) {
        return absl::InvalidArgumentError(
            "a '%' in the target is not followed by two hexadecimal digits");
      }
      decoded += byte;
      i += 2;
    }
  }
  return decoded;
}

}  // namespace

absl::StatusOr<Target> ParseTarget(std::string_view target) {
  if (target == "*") return Target{};
  if (absl::StrContains(target, '#')) {
    return absl::InvalidArgumentError("the target has a '#'");
  }
  if (absl::StartsWithIgnoreCase(target, "http://")) {
    target.remove_prefix(std::string_view("http://").size());
    const size_t end = target.find_first_of("/?");
    target.remove_prefix(end == target.npos ? target.size() : end);
    // "http://host" and "http://host?a=b" ask for the root.
  } else if (!absl::StartsWith(target, "/")) {
    return absl::InvalidArgumentError(
        "the target is neither a path nor http://HOST/PATH");
  }

  Target result;
  const size_t question = target.find('?');
  std::string_view path = target.substr(0, question);
  if (absl::ConsumePrefix(&path, "/") && !path.empty()) {
    for (const std::string_view segment : absl::StrSplit(path, '/')) {
      if (result.path.size() == kMaxTargetParts) {
        return absl::InvalidArgumentError("the target has too many segments");
      }
      absl::StatusOr<std::string> decoded = Decode(segment, Plus::kIsPlus);
      if (!decoded.ok()) return decoded.status();
      result.path.push_back(*std::move(decoded));
    }
  }
  if (question == target.npos) return result;
  for (const std::string_view parameter :
       absl::StrSplit(target.substr(question + 1), '&', absl::SkipEmpty())) {
    if (result.query.size() == kMaxTargetParts) {
      return absl::InvalidArgumentError("the target has too many parameters");
    }
    const std::pair<std::string_view, std::string_view> parts =
        absl::StrSplit(parameter, absl::MaxSplits('=', 1));
    absl::StatusOr<std::string> name = Decode(parts.first, Plus::kIsSpace);
    if (!name.ok()) return name.status();
    absl::StatusOr<std::string> value = Decode(parts.second, Plus::kIsSpace);
    if (!value.ok()) return value.status();
    result.query.emplace_back(*std::move(name), *std::move(value));
  }
  return result;
}

}  // namespace bibop::pkgraphd
