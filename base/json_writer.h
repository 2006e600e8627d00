// JsonWriter: writes a JSON text (RFC 8259), from its beginning to its end.
//
//   JsonWriter json;
//   json.BeginObject().Key("sizes").BeginArray().Number(16).EndArray();
//   json.EndObject();
//   file << json.text();
//
// Commas and quotes are its business; that calls make up a value is the
// caller's: what is begun is ended, and each value in an object has a key.
// Used by one thread.

#ifndef BIBOP_BASE_JSON_WRITER_H_
#define BIBOP_BASE_JSON_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace bibop {

class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Begin('{'); }
  JsonWriter& EndObject() { return End('}'); }
  JsonWriter& BeginArray() { return Begin('['); }
  JsonWriter& EndArray() { return End(']'); }

  // The name of the value that comes next.
  JsonWriter& Key(absl::string_view key);

  // What is not UTF-8 in `text` becomes U+FFFD, a byte at a time.
  JsonWriter& String(absl::string_view text);
  // Written so that reading gives the same number; null for what JSON has no
  // number for, an infinity or no number.
  JsonWriter& Number(double value);
  JsonWriter& Integer(int64_t value);
  JsonWriter& Bool(bool value);
  JsonWriter& Null();

  // What was written so far.
  const std::string& text() const { return text_; }

 private:
  JsonWriter& Begin(char bracket);
  JsonWriter& End(char bracket);
  JsonWriter& Value(absl::string_view text);
  // Writes a comma if something stands before what comes next.
  void Separate();
  void Quote(absl::string_view text);

  std::string text_;
  bool after_value_ = false;
};

}  // namespace bibop

#endif  // BIBOP_BASE_JSON_WRITER_H_
