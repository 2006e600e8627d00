#include "bibop/benchmarks/json_writer.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace bibop::benchmarks {

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
  if (!std::isfinite(value)) return Value("null");
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
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&text_, "\\u%04x", c);
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

}  // namespace bibop::benchmarks
