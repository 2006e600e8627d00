// One connection of an HTTP server: a coroutine that reads a request, has it
// answered, and goes on with the next.
//
// It lives in a std::shared_ptr, which its coroutine shares. All of it runs on
// the executor of its socket, a strand, so that it needs no lock; other threads
// call CloseIfIdle and Cut, which post to it.
//
// A connection has a buffer only while a request comes: each of thousands that
// send nothing costs its socket and some 3.5 kB, and 8 kB more once it begins.
//
// Invariants: one operation of the socket at a time, and `timer_` is what ends
// it when it takes too long.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_CONNECTION_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_CONNECTION_H_

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "asio/any_io_executor.hpp"
#include "asio/awaitable.hpp"
#include "asio/cancellation_signal.hpp"
#include "asio/ip/tcp.hpp"
#include "asio/steady_timer.hpp"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/http_request_parser.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"

namespace bibop::pkgraphd {

// What the connections of a server share.
struct HttpServerContext {
  const HttpServerOptions options;
  const HttpHandler handler;
  HttpServerCounters counters = {};
  // No connection takes another request. Written by Shutdown, before it posts
  // to the connections; relaxed, for what is posted is ordered.
  std::atomic<bool> draining = false;
};

class HttpConnection final
    : public HttpTransport,
      public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::shared_ptr<HttpServerContext> context,
                 asio::ip::tcp::socket socket);

  // Serves the client until one of the two ends the connection.
  asio::awaitable<void> Serve();

  // Tells the client that there are too many.
  asio::awaitable<void> Refuse();

  // The strand. Any thread.
  asio::any_io_executor executor() { return socket_.get_executor(); }

  // What Cut cancels the coroutine by. Used on the strand.
  asio::cancellation_slot cancellation_slot() { return cancellation_.slot(); }

  // Closes the socket. On the strand, when the coroutine has ended.
  void Close();

  // Ends the connection if it waits for a request. Any thread.
  void CloseIfIdle();

  // Ends the connection, and the handler's coroutine in whatever it awaits. Any
  // thread.
  void Cut();

 private:
  using Clock = asio::steady_timer::clock_type;

  enum class Received {
    kRequest,  // the parser has it
    kNothing,  // the client has gone, or asks for nothing more
    kError,    // `error_` is the answer to it
  };
  struct Error {
    int status;
    std::string message;
  };

  asio::awaitable<void> Write(Parts parts) override;
  bool keep_alive() const override;

  asio::awaitable<Received> Receive();
  // Has the request answered. False if the answer is incomplete.
  asio::awaitable<bool> Answer();
  asio::awaitable<void> SendError(HttpResponse& response, const Error& error);
  // Waits until the client has closed its side too: if this side closed first,
  // with something unread, the client might never see the answer.
  asio::awaitable<void> Linger();
  void Count(const HttpResponse& response);

  // Ends the socket's operation at `deadline`; what it ended sees timed_out_.
  void SetDeadline(Clock::time_point deadline);
  void ClearDeadline() { deadline_ = Clock::time_point::max(); }
  void StartTimer();
  void OnTimer();

  const std::shared_ptr<HttpServerContext> context_;
  asio::ip::tcp::socket socket_;
  asio::cancellation_signal cancellation_;

  // `timer_` runs until some time before `deadline_` and then looks again: most
  // operations only move the deadline.
  asio::steady_timer timer_;
  bool timer_runs_ = false;
  Clock::time_point deadline_ = Clock::time_point::max();
  bool timed_out_ = false;
  // Set by the first write of an answer, for all of them.
  Clock::time_point answer_deadline_ = Clock::time_point::max();

  HttpRequestParser parser_;
  std::unique_ptr<char[]> buffer_;
  std::string_view
      unread_;  // the part of `buffer_` that the parser has not had
  Error error_;
  bool idle_ = false;     // waits for the first byte of a request
  bool failed_ = false;   // a write failed, or the connection was cut
  bool closing_ = false;  // takes no other request
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_CONNECTION_H_
