// What a handler of HTTP requests gets, and how it answers.
//
//   asio::awaitable<void> Hello(const HttpRequest& request,
//                               HttpResponse& response) {
//     if (request.path.empty()) {
//       co_await response.Send(200, "text/plain", "hello\n");
//       co_return;
//     }
//     co_await response.Start(200, "text/plain");
//     for (const std::string& segment : request.path) {
//       co_await response.Write(segment + "\n");
//     }
//   }
//
// A handler answers once: with Send, or with Start and any number of Writes. To
// return ends the answer. The request and the response live until the handler
// has returned, and are used by its coroutine alone, on the connection's
// strand, one call at a time.
//
// Send, Start and Write throw std::system_error if the client has gone, or has
// taken nothing for the server's write_timeout, or not all within its
// answer_timeout, or the server cuts the connection at its shutdown. A handler
// lets that pass: the server ends the connection. They throw std::logic_error
// if the handler has answered already, or writes what it has not started, or if
// a header is not one; of these, and of whatever else a handler throws, the
// server makes a 500 if nothing was sent, and else an answer that is cut short.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_MESSAGE_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_MESSAGE_H_

#include <array>
#include <functional>
#include <string>
#include <string_view>

#include "asio/awaitable.hpp"
#include "bibop/examples/pkgraphd/http_request.h"  // IWYU pragma: export

namespace bibop::pkgraphd {

// Where an answer goes: the connection.
class HttpTransport {
 public:
  // Text that is written in one piece.
  using Parts = std::array<std::string_view, 3>;

  // Writes `parts`, which stay valid until it is done. Throws
  // std::system_error.
  virtual asio::awaitable<void> Write(Parts parts) = 0;

  // Whether the connection takes another request after this one.
  virtual bool keep_alive() const = 0;

 protected:
  ~HttpTransport() = default;
};

// The answer to one request.
class HttpResponse {
 public:
  // What the request says about the form of its answer.
  struct Form {
    bool http_1_1;   // else 1.0, which knows no chunks
    bool head_only;  // the method is HEAD: what a body would be, and none
  };

  // `transport` outlives it.
  HttpResponse(HttpTransport& transport, Form form)
      : transport_(transport), form_(form) {}

  HttpResponse(const HttpResponse&) = delete;
  HttpResponse& operator=(const HttpResponse&) = delete;

  // Adds a header field to the answer, which is sent later. Content-Type,
  // Content-Length, Transfer-Encoding, Connection and Date are there without.
  void AddHeader(std::string_view name, std::string_view value);

  // Sends the whole answer. To HEAD, and with a status that has no body (204,
  // 304), the body is left out.
  asio::awaitable<void> Send(int status, std::string_view content_type,
                             std::string body);

  // Sends the start of an answer whose length is not known yet.
  asio::awaitable<void> Start(int status, std::string_view content_type);

  // Sends a piece of the answer, and waits until the kernel has taken it all.
  // The client gets pieces as they come. An empty one sends nothing.
  asio::awaitable<void> Write(std::string chunk);

  // The status that was sent, 0 if none was yet.
  int status() const { return status_; }

  // ---- what the server calls ----

  // Sends the end of an answer that was started.
  asio::awaitable<void> Finish();

  // Whether the answer ends where the connection does.
  bool ends_with_connection() const { return ends_with_connection_; }

 private:
  // Make `head_`; what says how long the body is comes between the two.
  void BeginHead(int status, std::string_view content_type);
  void EndHead();

  HttpTransport& transport_;
  const Form form_;
  std::string more_headers_;
  // What is being written: it has to stay.
  std::string head_;
  std::string body_;
  int status_ = 0;
  bool streaming_ = false;
  bool ends_with_connection_ = false;
};

// Answers a request. It is called on the connection's strand.
using HttpHandler =
    std::function<asio::awaitable<void>(const HttpRequest&, HttpResponse&)>;

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_MESSAGE_H_
