// How an HTTP server listens, and what it lets clients do.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_OPTIONS_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace bibop::pkgraphd {

struct HttpServerOptions {
  // An IPv4 or IPv6 address of this machine.
  std::string address = "127.0.0.1";
  // 0: one that is free, which HttpServer::port() tells.
  uint16_t port = 0;
  // Connections beyond this many get 503 and are closed. At least 1.
  size_t max_connections = 10000;
  // The request line and the header fields of a request, else 431. At least 64.
  size_t max_head_bytes = size_t{16} << 10;
  // The body of a request, else 413. 0: none has one.
  size_t max_body_bytes = size_t{1} << 20;

  // How long it may take; each is positive and at most a day.
  //
  // A request, from its first byte to its last, else 408.
  absl::Duration request_timeout = absl::Seconds(10);
  // A connection between two requests, and before the first.
  absl::Duration idle_timeout = absl::Seconds(60);
  // A client that takes nothing of an answer.
  absl::Duration write_timeout = absl::Seconds(30);
  // An answer, from its first byte to its last, however steadily the client
  // takes it.
  absl::Duration answer_timeout = absl::Minutes(5);
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_OPTIONS_H_
