// An HTTP/1.1 server on Asio's coroutines: keep-alive, pipelining, chunked
// answers, limits on whatever a client sends and on how long it takes.
//
//   asio::thread_pool pool(4);
//   absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Listen(
//       [&] { return asio::make_strand(pool.get_executor()); },
//       {.port = 8080}, Hello);
//   ...
//   (*server)->Shutdown(absl::Seconds(5));
//
// It has no threads of its own: the executors' threads do the work. Their
// execution context, the pool, outlives the server; its threads may end once
// Shutdown has returned. A request
// is answered by a coroutine of the handler on the connection's executor, and
// those of several connections run at the same time. http_message.h says what a
// handler does.
//
// What a client does wrong is answered, with 400, 408, 413, 417, 431, 501 or
// 505, and ends its connection, never the server. There are at most
// max_connections and a hundred more that are told so (503); when the process
// has no descriptors left, clients wait until it has.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asio/any_io_executor.hpp"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"

namespace bibop::pkgraphd {

class HttpServer {
 public:
  // Returns a strand, or another executor that runs one thing at a time.
  using ExecutorFactory = std::function<asio::any_io_executor()>;

  // Listens, and serves from now on. `connection_executor` is called for each
  // connection, and for the accepting itself, here and on the executors that it
  // returns: by one thread at a time. InvalidArgument if the options are not
  // what they may be; another error, with the address, if the system refuses.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(
      ExecutorFactory connection_executor, HttpServerOptions options,
      HttpHandler handler);

  // Shuts down with no grace, if Shutdown was not called.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // The port that it listens on. Any thread.
  uint16_t port() const;

  // Accepts no more connections, lets the requests that have begun finish,
  // closes each connection then, and those that wait for a request at once.
  // What is left after `grace` is cut: what a handler awaits is cancelled, and
  // its writes fail. Returns when no connection and no handler's coroutine is
  // left.
  //
  // REQUIRES: the calling thread is none of the executors', and these run.
  void Shutdown(absl::Duration grace);

  // Any thread.
  HttpServerStats stats() const;

 private:
  class Core;

  explicit HttpServer(std::shared_ptr<Core> core);

  const std::shared_ptr<Core> core_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_H_
