#include "bibop/examples/pkgraphd/graph_store.h"

#include <atomic>
#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/examples/pkgraphd/parked_input.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

GraphStore::GraphStore(Mutator& mutator, std::string file)
    : file_(std::move(file)),
      alive_(std::make_shared<std::atomic<int64_t>>(0)) {
  HandleScope scope(mutator);
  root_.Reset(mutator, scope.New<Root>());
}

absl::StatusOr<LoadReport> GraphStore::Load(Mutator& mutator, double rest) {
  loads_.fetch_add(1, std::memory_order_relaxed);
  absl::StatusOr<LoadReport> report = TryLoad(mutator, rest);
  if (report.ok()) {
    report->number = loads() - failures();
  } else {
    failures_.fetch_add(1, std::memory_order_relaxed);
  }
  return report;
}

absl::StatusOr<LoadReport> GraphStore::TryLoad(Mutator& mutator, double rest) {
  const absl::Time start = absl::Now();
  std::optional<absl::StatusOr<pkgraph::Input>> input;
  {
    const ParkedScope parked(mutator);
    input.emplace(pkgraph::Input::Open(file_));
  }
  if (!input->ok()) return input->status();
  ParkedInput buffer(mutator, (*input)->stream(), rest);
  std::istream text(&buffer);

  HandleScope scope(mutator);
  const absl::StatusOr<Handle<pkgraph::Graph>> graph =
      pkgraph::LoadGraph(mutator, text, (*input)->name());
  if (!graph.ok()) return graph.status();
  root_->current = scope.New<LoadedIndex>(*graph, alive_);
  return LoadReport{.packages = (*graph)->package_count,
                    .versions = (*graph)->version_count,
                    .dependencies = (*graph)->dependency_count,
                    .elapsed = absl::Now() - start};
}

Handle<LoadedIndex> GraphStore::Current(HandleScope& scope) const {
  return scope.Local(root_->current).ToHandleChecked();
}

}  // namespace bibop::pkgraphd
