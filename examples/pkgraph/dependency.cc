#include "bibop/examples/pkgraph/dependency.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "bibop/examples/pkgraph/quoted.h"

namespace bibop::pkgraph {
namespace {

// A single < or > is an old way to write <= and >=.
constexpr std::array<std::string_view, 7> kComparisons = {
    "<<", "<=", "=", ">=", ">>", "<", ">"};

bool IsNameByte(unsigned char byte) {
  return absl::ascii_isalnum(byte) || byte == '+' || byte == '-' ||
         byte == '.' || byte == '_';
}

bool IsVersionByte(unsigned char byte) {
  return IsNameByte(byte) || byte == '~' || byte == ':';
}

// Removes from the front of `text`, and returns, the bytes that `is_part`
// accepts.
std::string_view TakeWhile(std::string_view& text,
                           bool (*is_part)(unsigned char)) {
  const size_t size =
      std::find_if_not(text.begin(), text.end(), is_part) - text.begin();
  const std::string_view taken = text.substr(0, size);
  text.remove_prefix(size);
  return taken;
}

// If `text` starts with `open`, removes that, what follows up to `close`, and
// the blanks behind; sets `content` to what was between them. False if there is
// no such thing.
bool TakeBracketed(std::string_view& text, char open, char close,
                   std::string_view& content) {
  if (text.empty() || text.front() != open) return false;
  const size_t end = text.find(close);
  if (end == text.npos) return false;
  content = absl::StripAsciiWhitespace(text.substr(1, end - 1));
  text = absl::StripLeadingAsciiWhitespace(text.substr(end + 1));
  return true;
}

bool ParseConstraint(std::string_view text, ParsedAlternative& alternative) {
  alternative.comparison = TakeWhile(text, [](unsigned char byte) {
    return byte == '<' || byte == '=' || byte == '>';
  });
  text = absl::StripLeadingAsciiWhitespace(text);
  alternative.version = TakeWhile(text, IsVersionByte);
  return std::find(kComparisons.begin(), kComparisons.end(),
                   alternative.comparison) != kComparisons.end() &&
         !alternative.version.empty() && text.empty();
}

bool ParseAlternative(std::string_view text, ParsedAlternative& alternative) {
  alternative.package = TakeWhile(text, IsNameByte);
  if (!IsPackageName(alternative.package)) return false;
  if (absl::ConsumePrefix(&text, ":") && TakeWhile(text, IsNameByte).empty()) {
    return false;
  }
  text = absl::StripLeadingAsciiWhitespace(text);
  std::string_view content;
  if (TakeBracketed(text, '(', ')', content) &&
      !ParseConstraint(content, alternative)) {
    return false;
  }
  TakeBracketed(text, '[', ']', content);
  while (TakeBracketed(text, '<', '>', content)) {
  }
  return text.empty();
}

}  // namespace

bool IsPackageName(std::string_view text) {
  return !text.empty() && absl::ascii_isalnum(text[0]) &&
         std::all_of(text.begin(), text.end(), IsNameByte);
}

absl::StatusOr<std::vector<ParsedDependency>> ParseDependencies(
    std::string_view value) {
  std::vector<ParsedDependency> dependencies;
  for (std::string_view item :
       absl::StrSplit(value, ',', absl::SkipWhitespace())) {
    ParsedDependency dependency;
    for (std::string_view text : absl::StrSplit(item, '|')) {
      text = absl::StripAsciiWhitespace(text);
      ParsedAlternative alternative;
      if (!ParseAlternative(text, alternative)) {
        return absl::InvalidArgumentError(
            absl::StrCat(Quoted(text), " is not a package with its version"));
      }
      dependency.push_back(alternative);
    }
    dependencies.push_back(std::move(dependency));
  }
  return dependencies;
}

}  // namespace bibop::pkgraph
