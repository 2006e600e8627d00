#include "bibop/benchmarks/ideal_marker.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/base/prefetch.h"
#include "absl/log/absl_check.h"
#include "bibop/base/virtual_memory.h"
#include "bibop/benchmarks/graph_shapes.h"

namespace bibop::benchmarks {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

constexpr size_t RoundUp(size_t n, size_t unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace

IdealMarker::IdealMarker(const GraphShape& shape)
    : size_(shape.edges.size()),
      memory_(VirtualRange::Reserve(RoundUp(size_ * sizeof(Node), kHugePage),
                                    kHugePage)
                  .value()),
      nodes_(reinterpret_cast<Node*>(memory_.start())),
      root_(nodes_ + shape.root),
      marks_((size_ + 63) / 64),
      // Depth first, each object leaves its edges there once at most.
      stack_(size_ * kEdges + kEdges) {
  CommitFrontier frontier(memory_.start(), memory_.size(), kHugePage,
                          CommitFrontier::Pages::kHuge);
  ABSL_CHECK_OK(frontier.EnsureCommitted(memory_.size()));
  for (size_t i = 0; i < size_; ++i) {
    for (int edge = 0; edge < kEdges; ++edge) {
      const uint32_t target = shape.edges[i][edge];
      nodes_[i].edges[edge] = target == kNoEdge ? nullptr : nodes_ + target;
    }
  }
}

int64_t IdealMarker::Mark() {
  std::ranges::fill(marks_, 0);
  std::array<Node*, kBatch> batch;
  Node** const bottom = stack_.data();
  Node** top = bottom;
  *top++ = root_;
  int64_t marked = 0;
  while (top != bottom) {
    const size_t taken = std::min<size_t>(top - bottom, kBatch);
    top -= taken;
    for (size_t i = 0; i < taken; ++i) {
      batch[i] = top[i];
      absl::PrefetchToLocalCache(&marks_[(batch[i] - nodes_) / 64]);
    }
    size_t unmarked = 0;
    for (size_t i = 0; i < taken; ++i) {
      Node* const node = batch[i];
      const size_t index = node - nodes_;
      uint64_t& word = marks_[index / 64];
      const uint64_t bit = uint64_t{1} << index % 64;
      batch[unmarked] = node;
      unmarked += (word & bit) == 0 ? 1 : 0;
      word |= bit;
    }
    for (size_t i = 0; i < unmarked; ++i) {
      // It may be on two cache lines.
      absl::PrefetchToLocalCacheNta(batch[i]);
      absl::PrefetchToLocalCacheNta(&batch[i]->edges.back());
    }
    for (size_t i = 0; i < unmarked; ++i) {
      for (Node* const edge : batch[i]->edges) {
        *top = edge;
        top += edge != nullptr ? 1 : 0;
      }
    }
    marked += static_cast<int64_t>(unmarked);
  }
  return marked;
}

}  // namespace bibop::benchmarks
