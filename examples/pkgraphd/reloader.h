// Reloader: the thread that reads the index anew when a request asks for it.
//
// One index is read at a time. A request that comes while one is read waits for
// the next, since the file may have changed after its beginning was read; all
// that wait share the next. The thread works half of the time and leaves the
// rest to whoever answers requests.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_RELOADER_H_
#define BIBOP_EXAMPLES_PKGRAPHD_RELOADER_H_

#include <atomic>
#include <cstdint>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "asio/awaitable.hpp"
#include "asio/thread_pool.hpp"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

class Reloader {
 public:
  // Starts the thread. Nothing else loads into `store` meanwhile.
  Reloader(Heap& heap ABSL_ATTRIBUTE_LIFETIME_BOUND,
           GraphStore& store ABSL_ATTRIBUTE_LIFETIME_BOUND);

  // Waits for an index that is being read, and for those that requests wait
  // for: GraphStore::StopLoading ends that. Whoever awaits Reload has an
  // executor that still exists.
  ~Reloader();

  // Awaited by a task: returns once an index was read whose reading began after
  // this was called. The task is not cancelled meanwhile. Any thread.
  asio::awaitable<absl::StatusOr<LoadReport>> Reload();

 private:
  // Runs on the thread. `begun` is what begun_ was when the request came.
  asio::awaitable<absl::StatusOr<LoadReport>> LoadUnlessBegunAfter(
      int64_t begun);

  Heap& heap_;
  GraphStore& store_;
  // How many times reading began. Written by the thread (release), read by
  // requests (acquire).
  std::atomic<int64_t> begun_ = 0;
  absl::StatusOr<LoadReport> last_;  // the thread's
  asio::thread_pool thread_{1};
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_RELOADER_H_
