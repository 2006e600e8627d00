// Makes HTTP/1.0 and HTTP/1.1 requests of bytes, as these come: all at once,
// one by one, or several requests in a row. It wraps llhttp, and knows no
// sockets.
//
//   while (parser.Consume(&unread) == HttpParseResult::kMore) unread = Read();
//
// What llhttp does not refuse itself is refused here: a head or a body that is
// too large, transfer codings other than "chunked", HTTP/1.1 without exactly
// one Host, bad percent escapes, and the lines that http_head_lines.h tells of.
// The sender and the receiver of a request have to agree where it ends, so
// whatever leaves room for doubt is an error, and after an error nothing more
// is read from the connection.
//
// Invariants: what it keeps of a request is at most max_head_bytes and
// max_body_bytes, whatever is sent.
//
// Not synchronized: one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_REQUEST_PARSER_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_REQUEST_PARSER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "bibop/examples/pkgraphd/http_head_lines.h"
#include "bibop/examples/pkgraphd/http_request.h"
#include "llhttp.h"

namespace bibop::pkgraphd {

// What a request may have at most.
struct HttpLimits {
  // The request line and the header fields, with the empty lines before and
  // after them. Also what chunks and trailers may have besides the body.
  size_t max_head_bytes;
  // The body, decoded.
  size_t max_body_bytes;
};

enum class HttpParseResult {
  kMore,      // everything was consumed, and the request is not complete
  kComplete,  // request() is it; what follows it is not consumed
  kFailed,    // error_status() and error() say why
};

class HttpRequestParser {
 public:
  explicit HttpRequestParser(const HttpLimits& limits);

  // llhttp refers to it.
  HttpRequestParser(const HttpRequestParser&) = delete;
  HttpRequestParser& operator=(const HttpRequestParser&) = delete;

  // Takes from the front of `*bytes` what belongs to the request.
  //
  // REQUIRES: the last result was kMore, or Next() was called since.
  HttpParseResult Consume(std::string_view* bytes);

  // Makes it ready for the next request of the connection.
  //
  // REQUIRES: the last result was kComplete.
  void Next();

  // Whether a byte of the request has come.
  bool started() const { return head_bytes_ > 0; }

  // Whether the client waits for "100 Continue" before it sends the body.
  bool expects_continue() const {
    return head_complete_ && expects_continue_ && request_.body.empty();
  }

  // The request. REQUIRES: the last result was kComplete.
  HttpRequest& request() { return request_; }

  // Whether the client leaves the connection open for another request, and
  // whether it knows chunks, which HTTP/1.0 does not. What is not known yet
  // counts as false.
  bool keep_alive() const { return keep_alive_; }
  bool http_1_1() const { return http_1_1_; }

  // The status that the answer to a failed request has, and why.
  //
  // REQUIRES: the last result was kFailed.
  int error_status() const { return error_status_; }
  const std::string& error() const { return error_; }

 private:
  static const llhttp_settings_t& Settings();
  static HttpRequestParser& Of(llhttp_t* parser) {
    return *static_cast<HttpRequestParser*>(parser->data);
  }

  // What llhttp calls; they return an error of llhttp.
  int OnHeaderField(std::string_view part);
  int OnHeaderValue(std::string_view part);
  int OnHeaderComplete();
  int OnHeadComplete();
  int OnBody(std::string_view part);
  int OnChunkHeader();
  int OnBodyFraming(size_t size);

  int Fail(int status, std::string_view why);
  HttpParseResult Failed(int status, std::string_view why);
  // Translates what llhttp itself found.
  void FailOf(llhttp_errno_t error);

  HttpLimits limits_;
  llhttp_t parser_;

  // Of the request that is being read; Next() resets it.
  HttpRequest request_;
  std::string field_;
  std::string value_;
  size_t head_bytes_ = 0;
  size_t framing_bytes_ = 0;
  int hosts_ = 0;
  HttpHeadLines lines_;  // of the head, then of the trailers
  bool head_complete_ = false;
  bool in_trailers_ = false;
  bool complete_ = false;
  bool has_content_length_ = false;
  bool has_transfer_encoding_ = false;
  bool expects_continue_ = false;
  bool keep_alive_ = false;
  bool http_1_1_ = false;

  int error_status_ = 0;
  std::string error_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_REQUEST_PARSER_H_
