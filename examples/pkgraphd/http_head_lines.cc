#include "bibop/examples/pkgraphd/http_head_lines.h"

#include <cstddef>
#include <string_view>

namespace bibop::pkgraphd {
namespace {

constexpr std::string_view kProtocol = "HTTP/";

}  // namespace

size_t HttpHeadLines::Scan(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if ((c == '\n') != after_cr_) {
      error_ = "a line ends with something else than CR and LF";
    } else if (c == '\n') {
      error_ = EndLine();
      if (ended_) return i + 1;
    } else if (c == '\r') {
      after_cr_ = true;
    } else {
      error_ = CheckInLine(c);
      line_empty_ = false;
    }
    if (failed()) return i;
  }
  return bytes.size();
}

std::string_view HttpHeadLines::CheckInLine(char c) {
  if (in_fields_) {
    return line_empty_ && (c == ' ' || c == '\t')
               ? "a header field goes on in a second line"
               : "";
  }
  if (c == ' ') {
    ++spaces_;
  } else if (spaces_ == 2 && protocol_ < kProtocol.size() &&
             c != kProtocol[protocol_++]) {
    return "the protocol is not HTTP";
  }
  return "";
}

std::string_view HttpHeadLines::EndLine() {
  after_cr_ = false;
  if (line_empty_) {
    ended_ = in_fields_;
    return "";
  }
  line_empty_ = true;
  if (!in_fields_ && (spaces_ != 2 || protocol_ < kProtocol.size())) {
    return "the request line is no method, target and version";
  }
  in_fields_ = true;
  return "";
}

}  // namespace bibop::pkgraphd
