#include "bibop/examples/pkgraphd/http_connection.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/log/absl_log.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asio/awaitable.hpp"
#include "asio/buffer.hpp"
#include "asio/cancellation_type.hpp"
#include "asio/ip/tcp.hpp"
#include "asio/post.hpp"
#include "asio/redirect_error.hpp"
#include "asio/socket_base.hpp"
#include "asio/use_awaitable.hpp"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/http_request_parser.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"

namespace bibop::pkgraphd {
namespace {

constexpr size_t kBufferBytes = size_t{8} << 10;
constexpr absl::Duration kLingerTimeout = absl::Seconds(1);

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpServerContext> context,
                               asio::ip::tcp::socket socket)
    : context_(std::move(context)),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      parser_({.max_head_bytes = context_->options.max_head_bytes,
               .max_body_bytes = context_->options.max_body_bytes}) {
  // What is written is to arrive, however little it is.
  std::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

asio::awaitable<void> HttpConnection::Serve() {
  bool complete = true;
  while (complete) {
    const Received received = co_await Receive();
    answer_deadline_ = Clock::time_point::max();
    if (received == Received::kNothing) co_return;
    if (received == Received::kError) {
      closing_ = true;
      HttpResponse response(*this, {.http_1_1 = true, .head_only = false});
      co_await SendError(response, error_);
      break;
    }
    complete = co_await Answer();
    if (!keep_alive()) break;
    parser_.Next();
  }
  if (complete) {
    co_await Linger();
  } else {
    // A reset: an answer that ends with the connection must not seem complete.
    std::error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  }
}

asio::awaitable<void> HttpConnection::Refuse() {
  closing_ = true;
  HttpResponse response(*this, {.http_1_1 = true, .head_only = false});
  response.AddHeader("Retry-After", "1");
  const Error error{503, "too many connections"};
  co_await SendError(response, error);
  co_await Linger();
}

asio::awaitable<HttpConnection::Received> HttpConnection::Receive() {
  const HttpServerOptions& options = context_->options;
  std::error_code error;
  if (unread_.empty()) {
    if (context_->draining.load(std::memory_order_relaxed)) {
      co_return Received::kNothing;
    }
    SetDeadline(Clock::now() + absl::ToChronoNanoseconds(options.idle_timeout));
    idle_ = true;
    co_await socket_.async_wait(
        asio::socket_base::wait_read,
        asio::redirect_error(asio::use_awaitable, error));
    idle_ = false;
    if (error) co_return Received::kNothing;
    buffer_ = std::make_unique_for_overwrite<char[]>(kBufferBytes);
  }

  const Clock::time_point deadline =
      Clock::now() + absl::ToChronoNanoseconds(options.request_timeout);
  bool continued = false;
  for (;;) {
    const HttpParseResult result = parser_.Consume(&unread_);
    if (result == HttpParseResult::kComplete) {
      ClearDeadline();
      if (unread_.empty()) buffer_.reset();
      co_return Received::kRequest;
    }
    if (result == HttpParseResult::kFailed) {
      HttpServerCounters::Add(context_->counters.requests_malformed);
      error_ = {parser_.error_status(), parser_.error()};
      co_return Received::kError;
    }
    if (parser_.expects_continue() && !continued) {
      continued = true;
      co_await Write({"HTTP/1.1 100 Continue\r\n\r\n"});
    }
    SetDeadline(deadline);
    const size_t size = co_await socket_.async_read_some(
        asio::buffer(buffer_.get(), kBufferBytes),
        asio::redirect_error(asio::use_awaitable, error));
    if (error && timed_out_) {
      HttpServerCounters::Add(context_->counters.requests_timed_out);
      error_ = {408, "the request took too long"};
      co_return Received::kError;
    }
    if (error) co_return Received::kNothing;
    unread_ = {buffer_.get(), size};
  }
}

asio::awaitable<bool> HttpConnection::Answer() {
  HttpServerCounters& counters = context_->counters;
  HttpServerCounters::Add(counters.requests_in_flight);
  const absl::Cleanup done = [&counters] {
    HttpServerCounters::Add(counters.requests_in_flight, -1);
  };
  const HttpRequest& request = parser_.request();
  const HttpResponse::Form form{.http_1_1 = parser_.http_1_1(),
                                .head_only = request.method == "HEAD"};
  HttpResponse response(*this, form);
  std::string failure;
  try {
    co_await context_->handler(request, response);
    if (response.status() == 0) {
      failure = "it returned without an answer";
    } else {
      co_await response.Finish();
    }
  } catch (const std::exception& e) {
    failure = e.what();
  } catch (...) {
    failure = "it threw what is no std::exception";
  }
  Count(response);
  if (response.ends_with_connection()) closing_ = true;
  if (failed_) co_return false;  // The handler has no part in it.
  if (failure.empty()) co_return true;

  HttpServerCounters::Add(counters.handler_failures);
  ABSL_LOG(ERROR) << "the handler of " << request.method << " "
                  << absl::CEscape(request.target.substr(0, 200))
                  << " failed: " << failure;
  if (response.status() != 0) co_return false;
  HttpResponse substitute(*this, form);
  const Error error{500, "internal error"};
  co_await SendError(substitute, error);
  co_return true;
}

asio::awaitable<void> HttpConnection::SendError(HttpResponse& response,
                                                const Error& error) {
  std::string body = absl::StrCat(error.message, "\n");
  co_await response.Send(error.status, "text/plain", std::move(body));
  Count(response);
}

void HttpConnection::Count(const HttpResponse& response) {
  if (response.status() == 0) return;
  HttpServerCounters::Add(
      context_->counters
          .responses_by_class[static_cast<size_t>(response.status() / 100)]);
}

asio::awaitable<void> HttpConnection::Linger() {
  std::error_code error;
  socket_.shutdown(asio::socket_base::shutdown_send, error);
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kBufferBytes);
  const Clock::time_point deadline =
      Clock::now() + absl::ToChronoNanoseconds(kLingerTimeout);
  // The timer ends a read that waits, the clock reads that never have to.
  while (!error && Clock::now() < deadline) {
    SetDeadline(deadline);
    co_await socket_.async_read_some(
        asio::buffer(buffer_.get(), kBufferBytes),
        asio::redirect_error(asio::use_awaitable, error));
  }
}

asio::awaitable<void> HttpConnection::Write(Parts parts) {
  std::array<asio::const_buffer, std::tuple_size_v<Parts>> buffers;
  std::transform(parts.begin(), parts.end(), buffers.begin(),
                 [](std::string_view part) { return asio::buffer(part); });
  const HttpServerOptions& options = context_->options;
  std::error_code error;
  while (asio::buffer_size(buffers) > 0) {
    const Clock::time_point now = Clock::now();
    if (answer_deadline_ == Clock::time_point::max()) {
      answer_deadline_ =
          now + absl::ToChronoNanoseconds(options.answer_timeout);
    }
    const bool late = now >= answer_deadline_;
    size_t size = 0;
    if (!late) {
      SetDeadline(
          std::min(now + absl::ToChronoNanoseconds(options.write_timeout),
                   answer_deadline_));
      size = co_await socket_.async_write_some(
          buffers, asio::redirect_error(asio::use_awaitable, error));
    }
    if (late || error) {
      failed_ = true;
      if (late || timed_out_) {
        HttpServerCounters::Add(context_->counters.answers_timed_out);
        error = std::make_error_code(std::errc::timed_out);
      }
      throw std::system_error(error, "writing to the client");
    }
    for (asio::const_buffer& buffer : buffers) {
      const size_t written = std::min(size, buffer.size());
      buffer += written;
      size -= written;
    }
  }
  ClearDeadline();
}

bool HttpConnection::keep_alive() const {
  return !closing_ && parser_.keep_alive() &&
         !context_->draining.load(std::memory_order_relaxed);
}

void HttpConnection::Close() {
  timer_.cancel();
  std::error_code ignored;
  socket_.close(ignored);
}

void HttpConnection::CloseIfIdle() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    std::error_code ignored;
    if (self->idle_) self->socket_.cancel(ignored);
  });
}

void HttpConnection::Cut() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->failed_ = true;
    self->cancellation_.emit(asio::cancellation_type::terminal);
    self->Close();
  });
}

void HttpConnection::SetDeadline(Clock::time_point deadline) {
  timed_out_ = false;
  deadline_ = deadline;
  if (!timer_runs_ || timer_.expiry() > deadline) StartTimer();
}

void HttpConnection::StartTimer() {
  timer_.expires_at(deadline_);
  timer_runs_ = true;
  timer_.async_wait([weak = weak_from_this()](std::error_code error) {
    if (error) return;  // It was started anew, or the connection is closed.
    if (const std::shared_ptr<HttpConnection> self = weak.lock()) {
      self->OnTimer();
    }
  });
}

void HttpConnection::OnTimer() {
  timer_runs_ = false;
  if (deadline_ == Clock::time_point::max()) return;
  if (Clock::now() < deadline_) {
    StartTimer();
    return;
  }
  timed_out_ = true;
  std::error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace bibop::pkgraphd
