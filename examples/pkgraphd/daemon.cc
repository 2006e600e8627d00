#include "bibop/examples/pkgraphd/daemon.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "asio/any_io_executor.hpp"
#include "asio/strand.hpp"
#include "asio/thread_pool.hpp"
#include "bibop/async/asio.h"
#include "bibop/base/resident_memory.h"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/examples/pkgraphd/http_server.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/metrics.h"
#include "bibop/examples/pkgraphd/reloader.h"
#include "bibop/examples/pkgraphd/service.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

Daemon::Daemon(DaemonOptions options)
    : start_(absl::Now()), options_(std::move(options)) {}

Daemon::~Daemon() {
  if (server_ != nullptr) Shutdown(absl::ZeroDuration());
}

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(DaemonOptions options) {
  constexpr int kMaxThreads = 256;
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return absl::InvalidArgumentError(
        absl::StrCat("threads: 0 to ", kMaxThreads, ", not ", options.threads));
  }
  auto daemon = absl::WrapUnique(new Daemon(std::move(options)));
  HeapOptions heap_options = daemon->options_.heap;
  heap_options.on_cycle_end =
      [&log = daemon->cycles_](const CycleStats& cycle) { log.Add(cycle); };
  absl::StatusOr<std::unique_ptr<Heap>> heap =
      Heap::Create(std::move(heap_options));
  if (!heap.ok()) return heap.status();
  daemon->heap_ = *std::move(heap);
  {
    MutatorScope mutator(*daemon->heap_);
    daemon->store_ =
        std::make_unique<GraphStore>(mutator, daemon->options_.index);
    absl::StatusOr<LoadReport> loaded =
        daemon->store_->Load(mutator, /*rest=*/0);
    if (!loaded.ok()) return loaded.status();
    daemon->loaded_ = *loaded;
  }
  const absl::Status listening = daemon->Listen();
  if (!listening.ok()) return listening;
  return daemon;
}

absl::Status Daemon::Listen() {
  const size_t threads =
      options_.threads > 0 ? static_cast<size_t>(options_.threads)
                           : std::max(1u, std::thread::hardware_concurrency());
  pool_.emplace(threads);
  reloader_ = std::make_unique<Reloader>(*heap_, *store_);
  service_ = std::make_unique<Service>(*heap_, *store_, *reloader_,
                                       [this] { return metrics(); });
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Listen(
      [this]() -> asio::any_io_executor {
        return AsioExecutor(*heap_, asio::make_strand(pool_->get_executor()));
      },
      options_.http,
      [this](const HttpRequest& request, HttpResponse& response) {
        return service_->Answer(request, response);
      });
  if (!server.ok()) return server.status();
  server_ = *std::move(server);
  listening_.Notify();
  return absl::OkStatus();
}

std::string Daemon::Url() const {
  const bool is_v6 = absl::StrContains(address(), ':');
  return absl::StrCat("http://", is_v6 ? "[" : "", address(), is_v6 ? "]" : "",
                      ":", port(), "/");
}

Metrics Daemon::metrics() const {
  listening_.WaitForNotification();
  return {.uptime = absl::Now() - start_,
          .heap = heap_->stats(),
          .async_scopes = heap_->CountAsyncScopes(),
          .cycles = cycles_.Recent(),
          .resident_bytes = ResidentBytes(),
          .http = server_->stats(),
          .loads = store_->loads(),
          .load_failures = store_->failures(),
          .graphs_alive = store_->alive()};
}

void Daemon::Shutdown(absl::Duration grace) {
  absl::Notification done;
  // A request that waits for an index cannot be cut.
  std::thread stopper([&] {
    done.WaitForNotificationWithTimeout(grace);
    store_->StopLoading();
  });
  server_->Shutdown(grace);
  done.Notify();
  stopper.join();
}

}  // namespace bibop::pkgraphd
