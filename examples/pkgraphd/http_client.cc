#include "bibop/examples/pkgraphd/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"

namespace bibop::pkgraphd {
namespace {

constexpr size_t kBufferBytes = size_t{16} << 10;

absl::Status Unavailable(std::string_view what, int error) {
  return absl::UnavailableError(absl::ErrnoToStatus(error, what).message());
}

}  // namespace

HttpClient::HttpClient(HttpClientOptions options)
    : options_(std::move(options)) {}

HttpClient::~HttpClient() { Close(); }

void HttpClient::Close() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

absl::StatusOr<HttpReply> HttpClient::Get(std::string_view target,
                                          OnBody on_body) {
  return Request("GET", target, "", "", std::move(on_body));
}

absl::StatusOr<HttpReply> HttpClient::Head(std::string_view target) {
  return Request("HEAD", target, "", "", {});
}

absl::StatusOr<HttpReply> HttpClient::Post(std::string_view target,
                                           std::string_view content_type,
                                           std::string_view body,
                                           OnBody on_body) {
  const std::string fields =
      absl::StrCat("Content-Type: ", content_type,
                   "\r\nContent-Length: ", body.size(), "\r\n");
  return Request("POST", target, fields, body, std::move(on_body));
}

absl::StatusOr<HttpReply> HttpClient::Request(std::string_view method,
                                              std::string_view target,
                                              std::string_view fields,
                                              std::string_view body,
                                              OnBody on_body) {
  const std::string request =
      absl::StrCat(method, " ", target, " HTTP/1.1\r\nHost: ", options_.address,
                   ":", options_.port, "\r\n", fields, "\r\n", body);
  const absl::Time deadline = absl::Now() + options_.timeout;
  HttpResponseParser parser(method == "HEAD", std::move(on_body));
  const bool reused = socket_ >= 0;
  absl::Status status = Exchange(request, parser, deadline);
  if (absl::IsUnavailable(status) && reused && !parser.started() &&
      method != "POST") {
    // The server closed the connection while it was idle.
    status = Exchange(request, parser, deadline);
  }
  if (!status.ok()) return status;
  return std::move(parser.reply());
}

absl::Status HttpClient::Exchange(std::string_view request,
                                  HttpResponseParser& parser,
                                  absl::Time deadline) {
  absl::Status status;
  if (socket_ < 0) status = Connect(deadline);
  bool sending = true;
  std::array<char, kBufferBytes> buffer;
  HttpResponseParser::Result result = HttpResponseParser::Result::kMore;
  while (status.ok() && result == HttpResponseParser::Result::kMore) {
    // The answer may come before the request is sent, and instead of that.
    sending = sending && !request.empty();
    status = Wait(sending ? POLLIN | POLLOUT : POLLIN, deadline);
    if (!status.ok()) break;
    const ssize_t received =
        recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (received > 0) {
      result = parser.Consume({buffer.data(), static_cast<size_t>(received)});
    } else if (received == 0) {
      if (!parser.started()) {
        status = absl::UnavailableError("the server closed the connection");
      } else {
        result = parser.ConsumeEnd();
        if (result == HttpResponseParser::Result::kFailed) {
          status = absl::UnavailableError(parser.error());
        }
      }
    } else if (errno != EAGAIN && errno != EINTR) {
      status = Unavailable("receiving", errno);
    } else if (sending) {
      const ssize_t sent = send(socket_, request.data(), request.size(),
                                MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) {
        request.remove_prefix(static_cast<size_t>(sent));
      } else if (errno != EAGAIN && errno != EINTR) {
        sending = false;  // What the server said before it went may be there.
      }
    }
  }
  if (status.ok() && result == HttpResponseParser::Result::kFailed) {
    status = absl::InternalError(parser.error());
  }
  if (result == HttpResponseParser::Result::kStopped) {
    status = absl::CancelledError("the rest of the answer is not wanted");
  }
  if (!status.ok() || !request.empty() || !parser.keep_alive()) Close();
  return status;
}

absl::Status HttpClient::Connect(absl::Time deadline) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  if (inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", options_.address, "' is no IPv4 address"));
  }
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return Unavailable("making a socket", errno);
  const int one = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  int error = 0;
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    error = errno;
  }
  if (error == EINPROGRESS) {
    absl::Status status = Wait(POLLOUT, deadline);
    if (!status.ok()) return status;
    socklen_t size = sizeof(error);
    getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error != 0) {
    return Unavailable(absl::StrCat("connecting to ", options_.address,
                                    " port ", options_.port),
                       error);
  }
  return absl::OkStatus();
}

absl::Status HttpClient::Wait(short events, absl::Time deadline) {
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(
          absl::StrCat("no complete answer within ",
                       absl::FormatDuration(options_.timeout)));
    }
    // Rounded up, and cut so that any timeout fits.
    const int64_t ms =
        std::min<int64_t>(absl::ToInt64Milliseconds(left), 60000);
    pollfd request = {.fd = socket_, .events = events, .revents = 0};
    const int ready = poll(&request, 1, static_cast<int>(ms) + 1);
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return Unavailable("waiting", errno);
  }
}

}  // namespace bibop::pkgraphd
