#include "bibop/examples/pkgraphd/http_request_parser.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bibop/examples/pkgraphd/http_head_lines.h"
#include "bibop/examples/pkgraphd/http_request.h"
#include "bibop/examples/pkgraphd/url.h"
#include "llhttp.h"

namespace bibop::pkgraphd {

const llhttp_settings_t& HttpRequestParser::Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = [](llhttp_t* p, const char* at, size_t size) {
      Of(p).request_.target.append(at, size);
      return 0;
    };
    s.on_header_field = [](llhttp_t* p, const char* at, size_t size) {
      return Of(p).OnHeaderField({at, size});
    };
    s.on_header_value = [](llhttp_t* p, const char* at, size_t size) {
      return Of(p).OnHeaderValue({at, size});
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      return Of(p).OnHeaderComplete();
    };
    s.on_headers_complete = [](llhttp_t* p) { return Of(p).OnHeadComplete(); };
    s.on_body = [](llhttp_t* p, const char* at, size_t size) {
      return Of(p).OnBody({at, size});
    };
    s.on_chunk_extension_name = [](llhttp_t* p, const char*, size_t size) {
      return Of(p).OnBodyFraming(size);
    };
    s.on_chunk_extension_value = [](llhttp_t* p, const char*, size_t size) {
      return Of(p).OnBodyFraming(size);
    };
    s.on_chunk_header = [](llhttp_t* p) { return Of(p).OnChunkHeader(); };
    s.on_message_complete = [](llhttp_t* p) -> int {
      Of(p).complete_ = true;
      return HPE_PAUSED;
    };
    return s;
  }();
  return settings;
}

HttpRequestParser::HttpRequestParser(const HttpLimits& limits)
    : limits_(limits) {
  llhttp_init(&parser_, HTTP_REQUEST, &Settings());
  parser_.data = this;
}

HttpParseResult HttpRequestParser::Consume(std::string_view* bytes) {
  while (!bytes->empty()) {
    const bool in_head = !head_complete_;
    const bool in_lines = in_head || in_trailers_;
    size_t size = bytes->size();
    if (in_head) {
      // A head that is not complete with its last allowed byte is too large.
      size = std::min(size, limits_.max_head_bytes - head_bytes_);
      if (size == 0) return Failed(431, "the request's head is too large");
    }
    if (in_lines) size = lines_.Scan(bytes->substr(0, size));
    const llhttp_errno_t error =
        size == 0 ? HPE_OK : llhttp_execute(&parser_, bytes->data(), size);
    if (error == HPE_PAUSED) {
      size =
          static_cast<size_t>(llhttp_get_error_pos(&parser_) - bytes->data());
    }
    if (in_head) head_bytes_ += size;
    bytes->remove_prefix(size);
    if (error != HPE_OK && error != HPE_PAUSED) {
      FailOf(error);
      return HttpParseResult::kFailed;
    }
    if (in_lines && lines_.failed()) return Failed(400, lines_.error());
    if (in_lines && lines_.ended() != (in_head ? head_complete_ : complete_)) {
      const bool http_2 = llhttp_get_method(&parser_) == HTTP_PRI;
      return Failed(http_2 ? 505 : 400, "the end of the head is in doubt");
    }
    if (complete_) return HttpParseResult::kComplete;
    if (error == HPE_PAUSED) llhttp_resume(&parser_);
  }
  return HttpParseResult::kMore;
}

void HttpRequestParser::Next() {
  ABSL_CHECK(complete_);
  llhttp_init(&parser_, HTTP_REQUEST, &Settings());
  parser_.data = this;
  request_ = {};
  field_.clear();
  value_.clear();
  head_bytes_ = 0;
  framing_bytes_ = 0;
  hosts_ = 0;
  lines_ = HttpHeadLines();
  head_complete_ = false;
  in_trailers_ = false;
  complete_ = false;
  has_content_length_ = false;
  has_transfer_encoding_ = false;
  expects_continue_ = false;
  keep_alive_ = false;
  http_1_1_ = false;
}

int HttpRequestParser::OnHeaderField(std::string_view part) {
  if (head_complete_) return OnBodyFraming(part.size());
  field_ += part;
  return 0;
}

int HttpRequestParser::OnHeaderValue(std::string_view part) {
  if (head_complete_) return OnBodyFraming(part.size());
  value_ += part;
  return 0;
}

int HttpRequestParser::OnHeaderComplete() {
  if (head_complete_) return 0;  // A trailer: they are read and dropped.
  const std::string field = std::exchange(field_, {});
  const std::string whole_value = std::exchange(value_, {});
  const std::string_view value = absl::StripAsciiWhitespace(whole_value);
  if (field.empty()) return Fail(400, "a header field has no name");
  if (absl::EqualsIgnoreCase(field, "host")) {
    ++hosts_;
  } else if (absl::EqualsIgnoreCase(field, "content-length")) {
    has_content_length_ = true;
  } else if (absl::EqualsIgnoreCase(field, "transfer-encoding")) {
    // llhttp looks at the last coding alone.
    if (has_transfer_encoding_ || !absl::EqualsIgnoreCase(value, "chunked")) {
      return Fail(501, "of the transfer codings only 'chunked' is known");
    }
    has_transfer_encoding_ = true;
  } else if (absl::EqualsIgnoreCase(field, "expect")) {
    if (!absl::EqualsIgnoreCase(value, "100-continue")) {
      return Fail(417, "of the expectations only '100-continue' is known");
    }
    expects_continue_ = true;
  }
  return 0;
}

int HttpRequestParser::OnHeadComplete() {
  head_complete_ = true;
  const int major = llhttp_get_http_major(&parser_);
  const int minor = llhttp_get_http_minor(&parser_);
  if (major != 1 || minor > 1) {
    return Fail(505, "the version of HTTP is neither 1.0 nor 1.1");
  }
  http_1_1_ = minor == 1;
  const llhttp_method_t method =
      static_cast<llhttp_method_t>(llhttp_get_method(&parser_));
  if (method == HTTP_CONNECT) return Fail(501, "the method is CONNECT");
  if (hosts_ > 1 || (http_1_1_ && hosts_ == 0)) {
    return Fail(400, "the request has no Host, or several");
  }
  if (has_transfer_encoding_ && (!http_1_1_ || has_content_length_)) {
    return Fail(400, "the request's Transfer-Encoding is out of place");
  }
  if (has_content_length_ && parser_.content_length > limits_.max_body_bytes) {
    return Fail(413, "the request's body is too large");
  }
  absl::StatusOr<Target> target = ParseTarget(request_.target);
  if (!target.ok()) return Fail(400, target.status().message());
  request_.method = llhttp_method_name(method);
  request_.path = std::move(target->path);
  request_.query = std::move(target->query);
  // llhttp forgets the "close" of a client of HTTP/1.0 that also says
  // "keep-alive".
  keep_alive_ = llhttp_should_keep_alive(&parser_) != 0 &&
                (parser_.flags & F_CONNECTION_CLOSE) == 0;
  expects_continue_ = expects_continue_ && http_1_1_;
  // "Upgrade" is an offer, which is not taken: what follows is HTTP.
  parser_.upgrade = 0;
  return 0;
}

int HttpRequestParser::OnBody(std::string_view part) {
  if (part.size() > limits_.max_body_bytes - request_.body.size()) {
    return Fail(413, "the request's body is too large");
  }
  request_.body += part;
  return 0;
}

int HttpRequestParser::OnChunkHeader() {
  if (parser_.content_length > 0) return 0;
  // What follows the last chunk, Consume looks at first.
  in_trailers_ = true;
  lines_ = HttpHeadLines(HttpHeadLines::Part::kTrailers);
  return HPE_PAUSED;
}

int HttpRequestParser::OnBodyFraming(size_t size) {
  framing_bytes_ += size;
  if (framing_bytes_ > limits_.max_head_bytes) {
    return Fail(431,
                "the request's trailers or chunk extensions are too large");
  }
  return 0;
}

int HttpRequestParser::Fail(int status, std::string_view why) {
  error_status_ = status;
  error_ = why;
  keep_alive_ = false;
  return HPE_USER;
}

HttpParseResult HttpRequestParser::Failed(int status, std::string_view why) {
  Fail(status, why);
  return HttpParseResult::kFailed;
}

void HttpRequestParser::FailOf(llhttp_errno_t error) {
  if (error_status_ != 0) return;  // A callback failed, and said why.
  int status = 400;
  if (error == HPE_INVALID_VERSION) {
    status = 505;
  } else if (error == HPE_INVALID_TRANSFER_ENCODING && !has_content_length_) {
    status = 501;
  }
  const char* reason = llhttp_get_error_reason(&parser_);
  Fail(status, reason == nullptr || *reason == '\0'
                   ? std::string(llhttp_errno_name(error))
                   : absl::StrCat("malformed request: ", reason));
}

}  // namespace bibop::pkgraphd
