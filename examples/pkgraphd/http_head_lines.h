// Looks at the lines of a request's head, or of the trailers that follow a
// chunked body, before the parser of HTTP does, and finds their end.
//
//   HttpHeadLines lines;
//   size_t size = lines.Scan(bytes);  // so many of them are the head's
//
// Parsers differ in what they forgive: a line that ends with LF alone, one that
// begins with a space and continues the one before, a request line with more or
// fewer than three words. Whoever forgives such a thing may find another end of
// the request than whoever forwarded it, so nothing is forgiven here.
//
// Invariants: it keeps nothing of what it has seen but where it is.
//
// Not synchronized: one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_HEAD_LINES_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_HEAD_LINES_H_

#include <cstddef>
#include <string_view>

namespace bibop::pkgraphd {

class HttpHeadLines {
 public:
  enum class Part {
    kHead,      // empty lines, the request line, the header fields
    kTrailers,  // fields alone
  };

  explicit HttpHeadLines(Part part = Part::kHead)
      : in_fields_(part == Part::kTrailers) {}

  // Returns how many of the next bytes belong to the lines, up to and with the
  // empty line that ends them, or up to the first byte that is wrong.
  //
  // REQUIRES: neither ended() nor failed().
  size_t Scan(std::string_view bytes);

  // Whether the empty line has come.
  bool ended() const { return ended_; }

  bool failed() const { return !error_.empty(); }
  // Why.
  std::string_view error() const { return error_; }

 private:
  // What is wrong with this byte of a line; empty if nothing is.
  std::string_view CheckInLine(char c);
  // The same, of a line that is complete. Sets ended_.
  std::string_view EndLine();

  bool in_fields_;         // the request line is complete
  bool after_cr_ = false;  // within the end of a line
  bool line_empty_ = true;
  int spaces_ = 0;       // of the request line
  size_t protocol_ = 0;  // how much of "HTTP/" has come
  bool ended_ = false;
  std::string_view error_;  // of a constant
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_HEAD_LINES_H_
