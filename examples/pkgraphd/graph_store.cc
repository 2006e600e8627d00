#include "bibop/examples/pkgraphd/graph_store.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bibop/examples/pkgraph/graph.h"
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
  if (CountHeld() >= kMaxGraphs) {
    // Some may be held by nobody, and no collection has come since.
    mutator.heap().Collect();
    if (CountHeld() >= kMaxGraphs) {
      return absl::UnavailableError(
          absl::StrCat(held_.size(),
                       " graphs are in use, by clients that take their answers "
                       "slowly: try again later"));
    }
  }
  const absl::StatusOr<std::unique_ptr<ParkedInput>> input =
      ParkedInput::Open(mutator, file_, rest, stop_);
  if (!input.ok()) return input.status();
  std::istream text(input->get());

  HandleScope scope(mutator);
  const absl::StatusOr<Handle<pkgraph::Graph>> graph =
      pkgraph::LoadGraph(mutator, text, file_);
  // What ended early has the form of a shorter file, or of one that was cut.
  if (!(*input)->status().ok()) return (*input)->status();
  if (!graph.ok()) return graph.status();
  Handle<LoadedIndex> index = scope.New<LoadedIndex>(*graph, alive_);
  held_.emplace_back(mutator, index);
  root_->current = index;
  return LoadReport{.packages = (*graph)->package_count,
                    .versions = (*graph)->version_count,
                    .dependencies = (*graph)->dependency_count,
                    .elapsed = absl::Now() - start};
}

size_t GraphStore::CountHeld() {
  std::erase_if(held_, [](const WeakPersistent<LoadedIndex>& index) {
    return index.IsEmpty();
  });
  return held_.size();
}

void GraphStore::StopLoading() {
  absl::call_once(stop_once_, [this] { stop_.Notify(); });
}

Handle<LoadedIndex> GraphStore::Current(HandleScope& scope) const {
  return scope.Local(root_->current).ToHandleChecked();
}

}  // namespace bibop::pkgraphd
