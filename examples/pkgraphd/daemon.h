// Daemon: the service put together: a heap, a graph, threads, a server.
//
//   absl::StatusOr<std::unique_ptr<Daemon>> daemon = Daemon::Start({});
//   std::cout << (*daemon)->Url() << "\n";
//   ...
//   (*daemon)->Shutdown(absl::Seconds(5));
//
// Any thread may call any function.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_DAEMON_H_
#define BIBOP_EXAMPLES_PKGRAPHD_DAEMON_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "asio/thread_pool.hpp"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/examples/pkgraphd/cycle_log.h"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/examples/pkgraphd/http_server.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/metrics.h"
#include "bibop/examples/pkgraphd/reloader.h"
#include "bibop/examples/pkgraphd/service.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

struct DaemonOptions {
  std::string index = std::string(pkgraph::kDefaultIndex);
  // How many threads answer requests: 1 to 256, or 0 for one per processor.
  int threads = 0;
  // No path takes a body. What a client sends all the same is kept while it is
  // answered.
  HttpServerOptions http = {.max_body_bytes = size_t{4} << 10};
  HeapOptions heap;  // all but on_cycle_end
};

class Daemon {
 public:
  // Reads the index and listens. Returns InvalidArgument if an option is out of
  // its range, the error if the index cannot be read or the address not be
  // listened on.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(DaemonOptions options);

  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Cuts what connections are left.
  ~Daemon();

  // "http://127.0.0.1:8080/"
  std::string Url() const;
  std::string address() const { return options_.http.address; }
  uint16_t port() const { return server_->port(); }

  // What the index that was read at the start came to.
  const LoadReport& loaded() const { return loaded_; }

  // What it tells about itself now.
  Metrics metrics() const;

  Heap& heap() const { return *heap_; }

  // Takes no more connections and requests, waits for those in flight as long
  // as `grace`, and cuts the others. Returns when none is left: an index that
  // is still being read then is given up, within a tenth of a second or so,
  // unless the system lets a read of a file wait.
  void Shutdown(absl::Duration grace);

 private:
  explicit Daemon(DaemonOptions options);

  absl::Status Listen();

  const absl::Time start_;
  const DaemonOptions options_;
  CycleLog cycles_;
  // What follows is destroyed from the last to the first: what is awaited
  // before its executor, the threads before the heap.
  std::unique_ptr<Heap> heap_;
  std::unique_ptr<GraphStore> store_;
  LoadReport loaded_;
  std::optional<asio::thread_pool> pool_;
  std::unique_ptr<Reloader> reloader_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
  // Clients may be there before server_ is.
  absl::Notification listening_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_DAEMON_H_
