#include "bibop/examples/pkgraphd/http_server.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "asio/awaitable.hpp"
#include "asio/bind_cancellation_slot.hpp"
#include "asio/co_spawn.hpp"
#include "asio/error.hpp"
#include "asio/ip/address.hpp"
#include "asio/ip/tcp.hpp"
#include "asio/post.hpp"
#include "asio/redirect_error.hpp"
#include "asio/socket_base.hpp"
#include "asio/steady_timer.hpp"
#include "asio/use_awaitable.hpp"
#include "bibop/examples/pkgraphd/http_connection.h"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"

namespace bibop::pkgraphd {
namespace {

// How many connections are told at a time that there are too many.
constexpr size_t kMaxRefusing = 100;
// How long it waits when the system has no descriptor for a connection.
constexpr absl::Duration kAcceptPause = absl::Milliseconds(50);

absl::Status Validate(const HttpServerOptions& options) {
  const auto check = [](bool valid, std::string_view what) {
    return valid ? absl::OkStatus() : absl::InvalidArgumentError(what);
  };
  absl::Status status;
  status.Update(check(options.max_connections >= 1, "max_connections is 0"));
  status.Update(
      check(options.max_head_bytes >= 64, "max_head_bytes is less than 64"));
  const auto check_time = [&](absl::Duration time, std::string_view name) {
    status.Update(check(time > absl::ZeroDuration() && time <= absl::Hours(24),
                        absl::StrCat(name, " is ", absl::FormatDuration(time),
                                     ": it is positive and at most a day")));
  };
  check_time(options.request_timeout, "request_timeout");
  check_time(options.idle_timeout, "idle_timeout");
  check_time(options.write_timeout, "write_timeout");
  check_time(options.answer_timeout, "answer_timeout");
  return status;
}

}  // namespace

// What outlives the server by what Asio has not destroyed yet.
class HttpServer::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(ExecutorFactory connection_executor, HttpServerOptions options,
       HttpHandler handler)
      : context_(new HttpServerContext{.options = std::move(options),
                                       .handler = std::move(handler)}),
        connection_executor_(std::move(connection_executor)),
        acceptor_(connection_executor_()) {}

  absl::Status Listen();
  void Shutdown(absl::Duration grace);
  uint16_t port() const { return port_; }
  HttpServerStats stats() const { return context_->counters.Read(); }

 private:
  using Connection = std::shared_ptr<HttpConnection>;

  asio::awaitable<void> AcceptLoop();
  void Admit(asio::ip::tcp::socket socket);
  // Starts the connection's coroutine. On its strand.
  void Start(const Connection& connection, bool refused);
  void Remove(const Connection& connection, bool refused);

  bool NoneIsLeft() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !accepting_ && connections_.empty();
  }

  const std::shared_ptr<HttpServerContext> context_;
  const ExecutorFactory connection_executor_;
  asio::ip::tcp::acceptor acceptor_;  // used on its executor
  uint16_t port_ = 0;                 // constant once it listens

  absl::Mutex mutex_;
  bool accepting_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  // The refused ones are in it too.
  absl::flat_hash_set<Connection> connections_ ABSL_GUARDED_BY(mutex_);
  size_t refusing_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::Status HttpServer::Core::Listen() {
  const HttpServerOptions& options = context_->options;
  std::error_code error;
  const asio::ip::address address =
      asio::ip::make_address(options.address, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", options.address, "' is no IP address"));
  }
  const asio::ip::tcp::endpoint endpoint(address, options.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) {
    acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  }
  if (!error) acceptor_.bind(endpoint, error);
  if (!error)
    acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (!error) port_ = acceptor_.local_endpoint(error).port();
  if (error) {
    return absl::ErrnoToStatus(
        error.value(), absl::StrCat("cannot listen on ", options.address,
                                    " port ", options.port));
  }
  {
    const absl::MutexLock lock(mutex_);
    accepting_ = true;
  }
  asio::co_spawn(
      acceptor_.get_executor(),
      [self = shared_from_this()] { return self->AcceptLoop(); },
      [self = shared_from_this()](std::exception_ptr) {
        const absl::MutexLock lock(self->mutex_);
        self->accepting_ = false;
      });
  return absl::OkStatus();
}

asio::awaitable<void> HttpServer::Core::AcceptLoop() {
  asio::steady_timer pause(acceptor_.get_executor());
  bool pausing = false;
  while (acceptor_.is_open()) {
    std::string failure;
    try {
      std::error_code error;
      if (std::exchange(pausing, false)) {
        pause.expires_after(absl::ToChronoNanoseconds(kAcceptPause));
        co_await pause.async_wait(
            asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      asio::ip::tcp::socket socket(connection_executor_());
      co_await acceptor_.async_accept(
          socket, asio::redirect_error(asio::use_awaitable, error));
      if (!error) {
        HttpServerCounters::Add(context_->counters.connections_accepted);
        Admit(std::move(socket));
      } else if (error != asio::error::operation_aborted &&
                 error != asio::error::connection_aborted) {
        // No descriptors, or no memory. The client stays in the queue.
        failure = error.message();
      }
    } catch (const std::exception& e) {
      failure = e.what();
    } catch (...) {
      failure = "what was thrown is no std::exception";
    }
    if (failure.empty()) continue;
    ABSL_LOG_EVERY_N_SEC(WARNING, 10)
        << "cannot accept a connection: " << failure;
    pausing = true;
  }
}

void HttpServer::Core::Admit(asio::ip::tcp::socket socket) {
  HttpServerCounters& counters = context_->counters;
  const asio::any_io_executor executor = socket.get_executor();
  const auto connection =
      std::make_shared<HttpConnection>(context_, std::move(socket));
  bool refused;
  {
    const absl::MutexLock lock(mutex_);
    if (draining_) return;
    refused =
        connections_.size() - refusing_ >= context_->options.max_connections;
    if (refused) HttpServerCounters::Add(counters.connections_refused);
    if (refused && refusing_ >= kMaxRefusing) return;
    connections_.insert(connection);
    if (refused) ++refusing_;
    HttpServerCounters::Add(counters.open_connections);
  }
  absl::Cleanup undo = [&] { Remove(connection, refused); };
  // Cut, which uses the cancellation slot, may come from now on: the slot is
  // the strand's.
  asio::post(executor, [self = shared_from_this(), connection, refused] {
    self->Start(connection, refused);
  });
  std::move(undo).Cancel();
}

void HttpServer::Core::Start(const Connection& connection, bool refused) {
  auto done = [self = shared_from_this(), connection,
               refused](std::exception_ptr) {
    // An exception says that the client has gone, or was cut.
    connection->Close();
    self->Remove(connection, refused);
  };
  try {
    asio::co_spawn(
        connection->executor(),
        [connection, refused] {
          return refused ? connection->Refuse() : connection->Serve();
        },
        asio::bind_cancellation_slot(connection->cancellation_slot(), done));
  } catch (const std::exception& e) {
    ABSL_LOG_EVERY_N_SEC(WARNING, 10)
        << "cannot serve a connection: " << e.what();
    done(nullptr);
  }
}

void HttpServer::Core::Remove(const Connection& connection, bool refused) {
  const absl::MutexLock lock(mutex_);
  connections_.erase(connection);
  if (refused) --refusing_;
  // Whoever sees the count go down finds the place free.
  HttpServerCounters::Add(context_->counters.open_connections, -1);
}

void HttpServer::Core::Shutdown(absl::Duration grace) {
  const absl::MutexLock lock(mutex_);
  // The executors need not run any more after the first call.
  if (NoneIsLeft()) return;
  draining_ = true;
  context_->draining.store(true, std::memory_order_relaxed);
  asio::post(acceptor_.get_executor(), [self = shared_from_this()] {
    std::error_code ignored;
    self->acceptor_.close(ignored);
  });
  for (const Connection& connection : connections_) connection->CloseIfIdle();
  const absl::Condition none_is_left(this, &Core::NoneIsLeft);
  if (mutex_.AwaitWithTimeout(none_is_left, grace)) return;
  for (const Connection& connection : connections_) connection->Cut();
  mutex_.Await(none_is_left);
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(
    ExecutorFactory connection_executor, HttpServerOptions options,
    HttpHandler handler) {
  absl::Status status = Validate(options);
  if (!status.ok()) return status;
  auto core = std::make_shared<Core>(std::move(connection_executor),
                                     std::move(options), std::move(handler));
  status = core->Listen();
  if (!status.ok()) return status;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(core)));
}

HttpServer::HttpServer(std::shared_ptr<Core> core) : core_(std::move(core)) {}

HttpServer::~HttpServer() { Shutdown(absl::ZeroDuration()); }

uint16_t HttpServer::port() const { return core_->port(); }

void HttpServer::Shutdown(absl::Duration grace) { core_->Shutdown(grace); }

HttpServerStats HttpServer::stats() const { return core_->stats(); }

}  // namespace bibop::pkgraphd
