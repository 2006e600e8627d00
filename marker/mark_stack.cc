#include "bibop/marker/mark_stack.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "bibop/base/virtual_memory.h"

namespace bibop {
namespace {

// The sizes of segments after the first; the last is for all that follow: a
// huge page.
constexpr size_t kSegmentBytes[] = {size_t{64} << 10, size_t{512} << 10,
                                    size_t{2} << 20};

std::unique_ptr<VirtualRange> NewSegment(size_t bytes) {
  absl::StatusOr<VirtualRange> memory = VirtualRange::Reserve(bytes, bytes);
  ABSL_CHECK_OK(memory) << ", for marking";
  CommitFrontier frontier(memory->start(), bytes, bytes,
                          CommitFrontier::Pages::kHuge);
  ABSL_CHECK_OK(frontier.EnsureCommitted(bytes)) << ", for marking";
  return std::make_unique<VirtualRange>(*std::move(memory));
}

}  // namespace

void MarkStack::Grow() {
  if (bottom_ - start_ > top_ - bottom_) {
    // Most of the segment was taken from below.
    top_ = std::copy(bottom_, top_, start_);
    bottom_ = start_;
    return;
  }
  const size_t bytes =
      kSegmentBytes[std::min(lower_.size(), std::size(kSegmentBytes) - 1)];
  lower_.push_back({std::move(memory_), start_, bottom_, top_, limit_});
  memory_ = spare_ != nullptr && spare_->size() >= bytes ? std::move(spare_)
                                                         : NewSegment(bytes);
  start_ = reinterpret_cast<const void**>(memory_->start());
  bottom_ = start_;
  top_ = start_;
  limit_ = start_ + memory_->size() / sizeof(*start_);
}

void MarkStack::Shrink() {
  KeepAsSpare(std::move(memory_));
  Segment& below = lower_.back();
  memory_ = std::move(below.memory);
  start_ = below.start;
  bottom_ = below.bottom;
  top_ = below.top;
  limit_ = below.limit;
  lower_.pop_back();
}

void MarkStack::KeepAsSpare(std::unique_ptr<VirtualRange> memory) {
  if (memory == nullptr) return;
  if (spare_ == nullptr || spare_->size() < memory->size()) {
    spare_ = std::move(memory);
  }
}

std::vector<const void*> MarkStack::TakeLower(size_t most) {
  constexpr size_t kFewest = 64;
  if (lower_.empty()) {
    const auto size = static_cast<size_t>(top_ - bottom_);
    if (size < kFewest) return {};
    const void** const first = bottom_;
    bottom_ += std::min(size / 2, most);
    return std::vector<const void*>(first, bottom_);
  }
  Segment& lowest = lower_.front();
  const void** const last = lowest.top;
  lowest.top -= std::min(static_cast<size_t>(last - lowest.bottom), most);
  std::vector<const void*> taken(lowest.top, last);
  if (lowest.top == lowest.bottom) {
    KeepAsSpare(std::move(lowest.memory));
    lower_.pop_front();
  }
  return taken;
}

}  // namespace bibop
