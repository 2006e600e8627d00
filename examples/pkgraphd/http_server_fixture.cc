#include "bibop/examples/pkgraphd/http_server_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asio/awaitable.hpp"
#include "asio/post.hpp"
#include "asio/redirect_error.hpp"
#include "asio/steady_timer.hpp"
#include "asio/strand.hpp"
#include "asio/this_coro.hpp"
#include "asio/thread_pool.hpp"
#include "asio/use_awaitable.hpp"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/http_server.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

// Long enough for any machine, short enough for a test that hangs.
constexpr absl::Duration kPatience = absl::Seconds(20);

std::string Parameter(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.query) {
    if (key == name) return value;
  }
  return "";
}

int Number(const HttpRequest& request, std::string_view name) {
  int number = 0;
  ABSL_CHECK(absl::SimpleAtoi(Parameter(request, name), &number));
  return number;
}

std::string Echo(const HttpRequest& request) {
  return absl::StrCat(
      request.method, "\n", absl::StrJoin(request.path, "|"), "\n",
      absl::StrJoin(request.query, "|", absl::PairFormatter("=")), "\n",
      request.body, "\n");
}

}  // namespace

struct TestServer::State {
  asio::awaitable<void> Handle(const HttpRequest& request,
                               HttpResponse& response);
  asio::awaitable<void> Gate();

  asio::thread_pool pool{2};
  absl::Mutex mutex;
  bool open ABSL_GUARDED_BY(mutex) = false;
  int waiting ABSL_GUARDED_BY(mutex) = 0;
  // Each is used on its executor.
  std::vector<std::shared_ptr<asio::steady_timer>> gates ABSL_GUARDED_BY(mutex);
};

asio::awaitable<void> TestServer::State::Gate() {
  const auto gate = std::make_shared<asio::steady_timer>(
      co_await asio::this_coro::executor,
      std::chrono::steady_clock::time_point::max());
  {
    const absl::MutexLock lock(mutex);
    ++waiting;
    if (open) co_return;
    gates.push_back(gate);
  }
  std::error_code ignored;
  co_await gate->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> TestServer::State::Handle(const HttpRequest& request,
                                                HttpResponse& response) {
  constexpr std::string_view kText = "text/plain";
  const std::string what = request.path.empty() ? "" : request.path[0];
  if (what == "echo") {
    std::string body = Echo(request);
    co_await response.Send(200, kText, std::move(body));
  } else if (what == "body") {
    std::string body = request.body;
    co_await response.Send(200, kText, std::move(body));
  } else if (what == "stream") {
    const int count = Number(request, "count");
    const size_t size = static_cast<size_t>(Number(request, "size"));
    co_await response.Start(200, kText);
    for (int i = 0; i < count; ++i) {
      std::string chunk(size, static_cast<char>('a' + i % 26));
      co_await response.Write(std::move(chunk));
    }
  } else if (what == "wait") {
    co_await Gate();
    std::string body = "waited\n";
    co_await response.Send(200, kText, std::move(body));
  } else if (what == "stream-wait") {
    co_await response.Start(200, kText);
    std::string first = "first\n";
    co_await response.Write(std::move(first));
    co_await Gate();
    std::string second = "second\n";
    co_await response.Write(std::move(second));
  } else if (what == "throw") {
    const std::string after = Parameter(request, "after");
    if (after == "nothing") throw 42;
    if (after == "start") {
      co_await response.Start(200, kText);
      std::string chunk = "chunk\n";
      co_await response.Write(std::move(chunk));
    }
    throw std::runtime_error("the test wants this");
  } else if (what == "twice") {
    std::string body = "once\n";
    co_await response.Send(200, kText, std::move(body));
    std::string again = "again\n";
    co_await response.Send(200, kText, std::move(again));
  } else if (what == "split") {
    response.AddHeader("X-Asked", Parameter(request, "value"));
    std::string body = "split\n";
    co_await response.Send(200, kText, std::move(body));
  } else if (what == "204") {
    std::string body = "no body\n";
    co_await response.Send(204, kText, std::move(body));
  } else if (what != "silent") {
    std::string body = "no such thing\n";
    co_await response.Send(404, kText, std::move(body));
  }
}

TestServer::TestServer(HttpServerOptions options)
    : state_(std::make_unique<State>()) {
  State* const state = state_.get();
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Listen(
      [state] { return asio::make_strand(state->pool.get_executor()); },
      std::move(options),
      [state](const HttpRequest& request, HttpResponse& response) {
        return state->Handle(request, response);
      });
  ABSL_CHECK_OK(server);
  server_ = *std::move(server);
}

TestServer::~TestServer() {
  server_.reset();
  state_->pool.join();
}

void TestServer::OpenGate() {
  const absl::MutexLock lock(state_->mutex);
  state_->open = true;
  for (const std::shared_ptr<asio::steady_timer>& gate : state_->gates) {
    asio::post(gate->get_executor(), [gate] { gate->cancel(); });
  }
  state_->gates.clear();
}

void TestServer::AwaitWaiting(int count) {
  const absl::MutexLock lock(state_->mutex);
  const auto reached = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                           state_->mutex) { return state_->waiting >= count; };
  EXPECT_TRUE(
      state_->mutex.AwaitWithTimeout(absl::Condition(&reached), kPatience));
}

bool TestServer::AwaitStats(bool (*condition)(const HttpServerStats&)) {
  // The server tells nobody when they change.
  for (const absl::Time start = absl::Now(); absl::Now() < start + kPatience;) {
    if (condition(server_->stats())) return true;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return false;
}

RawClient::RawClient(uint16_t port)
    : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  ABSL_CHECK_GE(socket_, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int one = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  ended_ = connect(socket_, reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address)) != 0;
}

RawClient::~RawClient() { Close(); }

void RawClient::Close() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

void RawClient::CloseForSending() { shutdown(socket_, SHUT_WR); }

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent =
        send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RawClient::Receive(absl::Time deadline) {
  if (ended_) return false;
  const int64_t ms = absl::ToInt64Milliseconds(deadline - absl::Now());
  pollfd request = {.fd = socket_, .events = POLLIN, .revents = 0};
  if (ms <= 0 || poll(&request, 1, static_cast<int>(ms)) <= 0) return false;
  std::array<char, 4096> buffer;
  const ssize_t size = recv(socket_, buffer.data(), buffer.size(), 0);
  ended_ = size <= 0;
  was_reset_ = size < 0 && errno == ECONNRESET;
  if (!ended_) unread_.append(buffer.data(), static_cast<size_t>(size));
  return !ended_;
}

std::string RawClient::ReadUntil(std::string_view end) {
  const absl::Time deadline = absl::Now() + kPatience;
  size_t found;
  while ((found = unread_.find(end)) == unread_.npos && Receive(deadline)) {
  }
  if (found == unread_.npos) return std::exchange(unread_, {});
  std::string result = unread_.substr(0, found + end.size());
  unread_.erase(0, result.size());
  return result;
}

std::string RawClient::ReadAll() {
  const absl::Time deadline = absl::Now() + kPatience;
  while (Receive(deadline)) {
  }
  EXPECT_TRUE(ended_) << "the server keeps the connection open";
  return std::exchange(unread_, {});
}

}  // namespace bibop::pkgraphd
