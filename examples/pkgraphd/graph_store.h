// GraphStore: the graph that requests are answered from, and its replacement.
//
// The current index hangs by one Member of an object that a Persistent keeps.
// A request takes it once and goes on with it, however often it is replaced
// meanwhile. Nobody counts who uses an old one: when the last request is done
// that holds it, it is garbage. Only so many are there at the same time: while
// slow requests hold old ones, none is loaded.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_GRAPH_STORE_H_
#define BIBOP_EXAMPLES_PKGRAPHD_GRAPH_STORE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

// An index that was loaded, an object of the heap.
class LoadedIndex {
 public:
  // Counts itself in `alive` until its destructor has run.
  LoadedIndex(Handle<pkgraph::Graph> graph,
              std::shared_ptr<std::atomic<int64_t>> alive)
      : graph(graph), alive_(std::move(alive)) {
    alive_->fetch_add(1, std::memory_order_relaxed);
  }
  LoadedIndex(const LoadedIndex&) = delete;
  LoadedIndex& operator=(const LoadedIndex&) = delete;
  ~LoadedIndex() { alive_->fetch_sub(1, std::memory_order_relaxed); }

  void Trace(auto& visitor) const { visitor(graph); }

  const Member<pkgraph::Graph> graph;

 private:
  // Shared, since destructors run when the heap likes. Written by whichever
  // thread loads or sweeps, read for statistics: relaxed.
  const std::shared_ptr<std::atomic<int64_t>> alive_;
};

// What loading an index came to.
struct LoadReport {
  int64_t number = 0;  // of the index: how many were loaded, with this one
  size_t packages = 0;
  size_t versions = 0;
  size_t dependencies = 0;
  absl::Duration elapsed = absl::ZeroDuration();
};

class GraphStore {
 public:
  // The most graphs that are held at the same time, the current one and one
  // that is being loaded among them.
  static constexpr size_t kMaxGraphs = 4;

  // Has no index before the first Load. Errors call `file` by that name; a
  // relative path starts where pkgraph::Input says.
  GraphStore(Mutator& mutator, std::string file);

  // Reads the file, beside whoever uses the current index, and makes what was
  // read the current one. On an error the current one stays: InvalidArgument if
  // the file is malformed, Unavailable if there would be more than kMaxGraphs,
  // Cancelled if loading was stopped, NotFound or another one if the file
  // cannot be read. `rest` is ParkedInput's.
  //
  // Collects when there seem to be too many graphs. On a running mutator's
  // thread, which is parked while it reads; one thread at a time.
  absl::StatusOr<LoadReport> Load(Mutator& mutator, double rest);

  // Ends a Load, within a tenth of a second or so, and each that is called
  // later. Any thread, any number of times.
  void StopLoading();

  // The current index, a handle of `scope`. Any running mutator's thread.
  //
  // REQUIRES: there was a Load that was no error.
  Handle<LoadedIndex> Current(HandleScope& scope) const;

  // How many times Load was called, how many of these were errors, and how many
  // indexes are alive or not swept yet. Any thread.
  int64_t loads() const { return loads_.load(std::memory_order_relaxed); }
  int64_t failures() const { return failures_.load(std::memory_order_relaxed); }
  int64_t alive() const { return alive_->load(std::memory_order_relaxed); }

 private:
  struct Root {
    void Trace(auto& visitor) const { visitor(current); }

    // Written by Load, which publishes the graph by it; read by requests.
    Member<LoadedIndex> current;
  };

  absl::StatusOr<LoadReport> TryLoad(Mutator& mutator, double rest);
  // How many of the indexes that were loaded no collection found dead.
  size_t CountHeld();

  const std::string file_;
  Persistent<Root> root_;
  // Written by the thread that loads, read for statistics: relaxed.
  std::atomic<int64_t> loads_ = 0;
  std::atomic<int64_t> failures_ = 0;
  const std::shared_ptr<std::atomic<int64_t>> alive_;
  // Those that were not found dead when CountHeld looked; the loading thread's.
  std::vector<WeakPersistent<LoadedIndex>> held_;
  absl::once_flag stop_once_;
  absl::Notification stop_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_GRAPH_STORE_H_
