#include "bibop/examples/pkgraphd/http_message.h"

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asio/awaitable.hpp"
#include "bibop/examples/pkgraphd/http_status.h"

namespace bibop::pkgraphd {
namespace {

// A header field that a handler makes of what a client sent must not become
// two.
void CheckHeaderValue(std::string_view value) {
  for (const char c : value) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      throw std::logic_error("a header field has a control character");
    }
  }
}

bool HasBody(int status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace

void HttpResponse::AddHeader(std::string_view name, std::string_view value) {
  if (status_ != 0) {
    throw std::logic_error("a header field is added after the head was sent");
  }
  CheckHeaderValue(name);
  CheckHeaderValue(value);
  absl::StrAppend(&more_headers_, name, ": ", value, "\r\n");
}

void HttpResponse::BeginHead(int status, std::string_view content_type) {
  if (status_ != 0) throw std::logic_error("a request is answered twice");
  if (status < 200 || status > 599) {
    throw std::logic_error(absl::StrCat("an answer has status ", status));
  }
  CheckHeaderValue(content_type);
  status_ = status;
  head_ = absl::StrCat("HTTP/1.1 ", status, " ", HttpStatusText(status), "\r\n",
                       "Date: ",
                       absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT",
                                        absl::Now(), absl::UTCTimeZone()),
                       "\r\n", more_headers_);
  if (HasBody(status)) {
    absl::StrAppend(&head_, "Content-Type: ", content_type, "\r\n");
  }
}

void HttpResponse::EndHead() {
  if (ends_with_connection_ || !transport_.keep_alive()) {
    absl::StrAppend(&head_, "Connection: close\r\n");
  } else if (!form_.http_1_1) {
    absl::StrAppend(&head_, "Connection: keep-alive\r\n");
  }
  absl::StrAppend(&head_, "\r\n");
}

asio::awaitable<void> HttpResponse::Send(int status,
                                         std::string_view content_type,
                                         std::string body) {
  BeginHead(status, content_type);
  if (HasBody(status)) {
    absl::StrAppend(&head_, "Content-Length: ", body.size(), "\r\n");
    if (!form_.head_only) body_ = std::move(body);
  }
  EndHead();
  return transport_.Write({head_, body_});
}

asio::awaitable<void> HttpResponse::Start(int status,
                                          std::string_view content_type) {
  BeginHead(status, content_type);
  streaming_ = true;
  if (HasBody(status)) {
    if (form_.http_1_1) {
      absl::StrAppend(&head_, "Transfer-Encoding: chunked\r\n");
    } else {
      ends_with_connection_ = true;
    }
  }
  EndHead();
  return transport_.Write({head_});
}

asio::awaitable<void> HttpResponse::Write(std::string chunk) {
  if (!streaming_) {
    throw std::logic_error("a piece of an answer that was not started");
  }
  body_ = std::move(chunk);
  if (body_.empty() || form_.head_only || !HasBody(status_)) {
    return transport_.Write({});
  }
  if (!form_.http_1_1) return transport_.Write({body_});
  head_ = absl::StrFormat("%x\r\n", body_.size());
  return transport_.Write({head_, body_, "\r\n"});
}

asio::awaitable<void> HttpResponse::Finish() {
  const bool chunked =
      streaming_ && form_.http_1_1 && !form_.head_only && HasBody(status_);
  streaming_ = false;
  return transport_.Write({chunked ? "0\r\n\r\n" : ""});
}

}  // namespace bibop::pkgraphd
