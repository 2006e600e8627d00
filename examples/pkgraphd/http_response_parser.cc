#include "bibop/examples/pkgraphd/http_response_parser.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "llhttp.h"

namespace bibop::pkgraphd {

std::string_view HttpReply::Header(std::string_view name) const {
  for (const auto& [field, value] : headers) {
    if (field == name) return value;
  }
  return "";
}

const llhttp_settings_t& HttpResponseParser::Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_header_field = [](llhttp_t* p, const char* at, size_t size) {
      Of(p).field_.append(at, size);
      return 0;
    };
    s.on_header_value = [](llhttp_t* p, const char* at, size_t size) {
      Of(p).value_.append(at, size);
      return 0;
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      return Of(p).OnHeaderComplete();
    };
    s.on_headers_complete = [](llhttp_t* p) { return Of(p).OnHeadComplete(); };
    s.on_body = [](llhttp_t* p, const char* at, size_t size) {
      return Of(p).OnBodyPart({at, size});
    };
    s.on_message_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
    return s;
  }();
  return settings;
}

HttpResponseParser::HttpResponseParser(bool head_only, OnBody on_body)
    : head_only_(head_only), on_body_(std::move(on_body)) {
  Begin();
}

void HttpResponseParser::Begin() {
  llhttp_init(&parser_, HTTP_RESPONSE, &Settings());
  parser_.data = this;
  reply_ = {};
}

HttpResponseParser::Result HttpResponseParser::Consume(std::string_view bytes) {
  for (;;) {
    if (!bytes.empty()) started_ = true;
    const llhttp_errno_t error =
        llhttp_execute(&parser_, bytes.data(), bytes.size());
    if (error != HPE_PAUSED || reply_.status / 100 != 1) return Finish(error);
    // An interim response: the response follows.
    const char* next = llhttp_get_error_pos(&parser_);
    bytes.remove_prefix(static_cast<size_t>(next - bytes.data()));
    Begin();
  }
}

HttpResponseParser::Result HttpResponseParser::ConsumeEnd() {
  const llhttp_errno_t error = llhttp_finish(&parser_);
  if (error != HPE_OK) return Finish(error);
  error_ = "the connection ended before the response did";
  return Result::kFailed;
}

HttpResponseParser::Result HttpResponseParser::Finish(llhttp_errno_t error) {
  if (error == HPE_OK) return Result::kMore;
  if (error == HPE_PAUSED) return Result::kComplete;
  if (stopped_) return Result::kStopped;
  const char* reason = llhttp_get_error_reason(&parser_);
  error_ = absl::StrCat(
      "the response is malformed: ",
      reason == nullptr || *reason == '\0' ? llhttp_errno_name(error) : reason);
  return Result::kFailed;
}

int HttpResponseParser::OnHeaderComplete() {
  // What comes after the body, trailers, is read and dropped.
  if (reply_.status == 0) {
    absl::AsciiStrToLower(&field_);
    absl::StripAsciiWhitespace(&value_);
    reply_.headers.emplace_back(std::move(field_), std::move(value_));
  }
  field_.clear();
  value_.clear();
  return 0;
}

int HttpResponseParser::OnHeadComplete() {
  reply_.status = llhttp_get_status_code(&parser_);
  keep_alive_ = llhttp_should_keep_alive(&parser_) != 0;
  // It never asked for another protocol.
  parser_.upgrade = 0;
  return head_only_ ? 1 : 0;
}

int HttpResponseParser::OnBodyPart(std::string_view part) {
  if (!on_body_) {
    reply_.body += part;
    return 0;
  }
  stopped_ = !on_body_(part);
  return stopped_ ? HPE_USER : HPE_OK;
}

}  // namespace bibop::pkgraphd
