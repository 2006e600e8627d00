#include "bibop/base/json_writer.h"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace bibop {
namespace {

// How many bytes the character has that `text` begins with; 0 if what it begins
// with is not UTF-8 (RFC 3629).
size_t CharacterBytes(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  // Forms longer than need be, surrogates, and what is above U+10FFFF.
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
    return 0;
  }
  const size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

JsonWriter& JsonWriter::Key(absl::string_view key) {
  Separate();
  Quote(key);
  text_ += ": ";
  after_value_ = false;
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view text) {
  Separate();
  Quote(text);
  after_value_ = true;
  return *this;
}

JsonWriter& JsonWriter::Number(double value) {
  if (!std::isfinite(value)) return Null();
  char digits[32];  // the longest is 24, as in -2.2250738585072014e-308
  const auto [end, error] =
      std::to_chars(digits, digits + sizeof(digits), value);
  return Value({digits, end});
}

JsonWriter& JsonWriter::Integer(int64_t value) {
  return Value(absl::StrCat(value));
}

JsonWriter& JsonWriter::Bool(bool value) {
  return Value(value ? "true" : "false");
}

JsonWriter& JsonWriter::Null() { return Value("null"); }

JsonWriter& JsonWriter::Begin(char bracket) {
  Separate();
  text_ += bracket;
  after_value_ = false;
  return *this;
}

JsonWriter& JsonWriter::End(char bracket) {
  text_ += bracket;
  after_value_ = true;
  return *this;
}

JsonWriter& JsonWriter::Value(absl::string_view text) {
  Separate();
  absl::StrAppend(&text_, text);
  after_value_ = true;
  return *this;
}

void JsonWriter::Separate() {
  if (after_value_) text_ += ", ";
}

void JsonWriter::Quote(absl::string_view text) {
  text_ += '"';
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    const char first = text.front();
    if (bytes == 0) {
      text_ += "\uFFFD";
    } else if (first == '"' || first == '\\') {
      text_ += '\\';
      text_ += first;
    } else if (static_cast<unsigned char>(first) < 0x20) {
      absl::StrAppendFormat(&text_, "\\u%04x", first);
    } else {
      absl::StrAppend(&text_, text.substr(0, bytes));
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  text_ += '"';
}

}  // namespace bibop
