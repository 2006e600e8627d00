// Makes one HTTP response of bytes, as these come. It wraps llhttp, and knows
// no sockets.
//
// Not synchronized: one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_RESPONSE_PARSER_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_RESPONSE_PARSER_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "llhttp.h"

namespace bibop::pkgraphd {

// What a server answered.
struct HttpReply {
  int status = 0;
  // Names in lower case, and values, as they came.
  std::vector<std::pair<std::string, std::string>> headers;
  // Empty if the body was delivered piece by piece.
  std::string body;

  // The first value of a header field, "" if there is none. `name` is in lower
  // case.
  std::string_view Header(std::string_view name) const;
};

class HttpResponseParser {
 public:
  // Is given the body as it comes. False: no more of it is wanted.
  using OnBody = absl::AnyInvocable<bool(std::string_view)>;

  enum class Result {
    kMore,      // everything was consumed, and the response is not complete
    kComplete,  // reply() is it
    kStopped,   // `on_body` wants no more
    kFailed,    // error() says why
  };

  // `head_only`: it answers a HEAD, and has no body whatever it says.
  HttpResponseParser(bool head_only, OnBody on_body);

  // llhttp refers to it.
  HttpResponseParser(const HttpResponseParser&) = delete;
  HttpResponseParser& operator=(const HttpResponseParser&) = delete;

  // Takes the next bytes. "100 Continue" before the response is left out. What
  // follows the response is ignored: a client sends one request at a time.
  //
  // REQUIRES: the last result was kMore.
  Result Consume(std::string_view bytes);

  // The server has closed the connection, which ends some responses.
  //
  // REQUIRES: the last result was kMore.
  Result ConsumeEnd();

  // Whether a byte of the response has come.
  bool started() const { return started_; }

  // Complete once the result was kComplete.
  HttpReply& reply() { return reply_; }

  // Whether the server leaves the connection open. REQUIRES: kComplete
  bool keep_alive() const { return keep_alive_; }

  // REQUIRES: kFailed
  const std::string& error() const { return error_; }

 private:
  static const llhttp_settings_t& Settings();
  static HttpResponseParser& Of(llhttp_t* parser) {
    return *static_cast<HttpResponseParser*>(parser->data);
  }

  void Begin();
  int OnHeaderComplete();
  int OnHeadComplete();
  int OnBodyPart(std::string_view part);
  Result Finish(llhttp_errno_t error);

  const bool head_only_;
  OnBody on_body_;
  llhttp_t parser_;
  HttpReply reply_;
  std::string field_;
  std::string value_;
  bool started_ = false;
  bool keep_alive_ = false;
  bool stopped_ = false;
  std::string error_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_RESPONSE_PARSER_H_
