// For the tests of the HTTP server: a server with a handler that does whatever
// a test asks for, and a client that is a bare socket.
//
// All of it is used by the test's thread.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_FIXTURE_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_server.h"
#include "bibop/examples/pkgraphd/http_server_options.h"

namespace bibop::pkgraphd {

// A server on a pool of two threads. Its handler answers
//   /echo         with the method, the path, the query and the body, one a
//   line; /body         with the body; /stream       with ?count= chunks of
//   ?size= bytes; /wait         when OpenGate was called; /stream-wait  with a
//   chunk, and another when OpenGate was called; /silent       not at all;
//   /throw        with an exception, if ?after= is "start" in the middle, if it
//                 is "nothing" one that is no std::exception;
//   /twice        once more than it should;
//   /split        with a header field that has a newline;
//   /204          with status 204 and a body;
//   what else     with 404.
class TestServer {
 public:
  explicit TestServer(HttpServerOptions options = {});
  // Shuts the server down with no grace.
  ~TestServer();

  HttpServer& server() { return *server_; }
  uint16_t port() const { return server_->port(); }

  // Lets the handlers that wait, and those that will, go on.
  void OpenGate();

  // Returns when so many handlers have begun to wait.
  void AwaitWaiting(int count);

  // Returns when the server's statistics fulfil `condition`; false after 20 s.
  bool AwaitStats(bool (*condition)(const HttpServerStats&));

 private:
  struct State;

  const std::unique_ptr<State> state_;
  std::unique_ptr<HttpServer> server_;
};

// A client that sends any bytes, and sees any bytes.
class RawClient {
 public:
  // Connects to a port of this machine. If nobody listens there, that is like a
  // server that closes the connection.
  explicit RawClient(uint16_t port);
  ~RawClient();

  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // Sends all of it. False if the server has closed the connection.
  bool Send(std::string_view bytes);

  // What the server sends up to `end`, and that; or up to where it closes the
  // connection; or, after 20 s, up to where it waits.
  std::string ReadUntil(std::string_view end);

  // What the server sends until it closes the connection. It fails the test if
  // that does not happen within 20 s.
  std::string ReadAll();

  // Whether the server ended the connection by a reset, which says that what
  // came is not all. Known once it was read to its end.
  bool was_reset() const { return was_reset_; }

  // Says that nothing more will be sent.
  void CloseForSending();

  // Closes the connection, with what was not read yet if there is any.
  void Close();

 private:
  // Reads once. False at the end of the connection, or after the deadline.
  bool Receive(absl::Time deadline);

  int socket_;
  std::string unread_;
  bool ended_ = false;
  bool was_reset_ = false;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_FIXTURE_H_
