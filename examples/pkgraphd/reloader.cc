#include "bibop/examples/pkgraphd/reloader.h"

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "asio/any_io_executor.hpp"
#include "asio/awaitable.hpp"
#include "asio/co_spawn.hpp"
#include "asio/use_awaitable.hpp"
#include "bibop/async/asio.h"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {
namespace {

// Half of the time: where the processors have enough to do, answers would get
// slower by what is taken from them.
constexpr double kRest = 1;

}  // namespace

Reloader::Reloader(Heap& heap, GraphStore& store)
    : heap_(heap), store_(store) {}

Reloader::~Reloader() { thread_.join(); }

asio::awaitable<absl::StatusOr<LoadReport>> Reloader::Reload() {
  const int64_t begun = begun_.load(std::memory_order_acquire);
  const asio::any_io_executor thread =
      AsioExecutor(heap_, thread_.get_executor());
  absl::StatusOr<LoadReport> report = co_await asio::co_spawn(
      thread, LoadUnlessBegunAfter(begun), asio::use_awaitable);
  co_return report;
}

asio::awaitable<absl::StatusOr<LoadReport>> Reloader::LoadUnlessBegunAfter(
    int64_t begun) {
  if (begun_.load(std::memory_order_relaxed) == begun) {
    begun_.store(begun + 1, std::memory_order_release);
    last_ = AsyncHandleScope::WithGuard(
        TaskMutator(), [this](AsyncHandleGuard& guard) {
          return store_.Load(guard.mutator(), kRest);
        });
  }
  co_return last_;
}

}  // namespace bibop::pkgraphd
