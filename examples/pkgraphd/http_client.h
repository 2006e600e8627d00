// A blocking HTTP/1.1 client of one server: for tests, and for a program that
// asks itself.
//
//   HttpClient client({.port = server.port()});
//   absl::StatusOr<HttpReply> reply = client.Get("/package/libc6");
//
// It keeps its connection from one request to the next, and makes another one
// when the server has closed it meanwhile.
//
// Not synchronized: one thread at a time, which waits.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_CLIENT_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_CLIENT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"

namespace bibop::pkgraphd {

struct HttpClientOptions {
  // An IPv4 address.
  std::string address = "127.0.0.1";
  uint16_t port = 0;
  // How long a request may take, from the connection to the last byte of the
  // answer.
  absl::Duration timeout = absl::Seconds(30);
};

class HttpClient {
 public:
  using OnBody = HttpResponseParser::OnBody;

  // Connects with the first request.
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();

  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Sends a request and waits for the answer, whatever its status.
  // DeadlineExceeded if it takes longer than the timeout, Unavailable if the
  // server is not there or closes the connection before it has answered
  // completely, Internal if the answer is no HTTP, InvalidArgument if the
  // address is none. `on_body` is given the body as it comes, if there is one;
  // when it returns false, the connection is closed and the answer is
  // Cancelled.
  absl::StatusOr<HttpReply> Get(std::string_view target, OnBody on_body = {});
  absl::StatusOr<HttpReply> Head(std::string_view target);
  absl::StatusOr<HttpReply> Post(std::string_view target,
                                 std::string_view content_type,
                                 std::string_view body, OnBody on_body = {});

  // Closes the connection, if there is one.
  void Close();

 private:
  absl::StatusOr<HttpReply> Request(std::string_view method,
                                    std::string_view target,
                                    std::string_view fields,
                                    std::string_view body, OnBody on_body);
  absl::Status Exchange(std::string_view request, HttpResponseParser& parser,
                        absl::Time deadline);
  absl::Status Connect(absl::Time deadline);
  // Waits until the socket is ready for `events` of poll(2).
  absl::Status Wait(short events, absl::Time deadline);

  const HttpClientOptions options_;
  int socket_ = -1;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_CLIENT_H_
