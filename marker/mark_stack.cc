#include "bibop/marker/mark_stack.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/status/statusor.h"
#include "bibop/base/virtual_memory.h"

namespace bibop {
namespace {

// The first segment that is not in the stack itself: from operator new, for it
// is enough for most, and what helps for a while has a stack of its own.
constexpr size_t kSecondBytes = size_t{64} << 10;
// The memory that the system is asked for after that, and how many segments it
// is cut into; the last is for all that follow. Those segments are huge pages.
struct Memory {
  size_t bytes;
  size_t segments;
};
constexpr Memory kMemory[] = {
    {size_t{512} << 10, 1}, {size_t{2} << 20, 1}, {size_t{16} << 20, 8}};

VirtualRange Map(size_t bytes) {
  absl::StatusOr<VirtualRange> memory =
      VirtualRange::Reserve(bytes, std::min(bytes, size_t{2} << 20));
  ABSL_CHECK_OK(memory) << ", for marking";
  CommitFrontier frontier(memory->start(), bytes, bytes,
                          CommitFrontier::Pages::kHuge);
  ABSL_CHECK_OK(frontier.EnsureCommitted(bytes)) << ", for marking";
  return *std::move(memory);
}

}  // namespace

void MarkStack::Grow() {
  if (bottom_ - start_ > top_ - bottom_) {
    // Most of the segment was taken from below.
    top_ = std::copy(bottom_, top_, start_);
    bottom_ = start_;
    return;
  }
  lower_.push_back({start_, bottom_, top_, limit_});
  if (second_ == nullptr) {
    constexpr size_t kSize = kSecondBytes / sizeof(void*);
    second_ = std::make_unique_for_overwrite<const void*[]>(kSize);
    spares_.emplace_back(second_.get(), kSize);
  } else if (spares_.empty()) {
    const auto [bytes, segments] =
        kMemory[std::min(memory_.size(), std::size(kMemory) - 1)];
    memory_.push_back(Map(bytes));
    auto* const first = reinterpret_cast<const void**>(memory_.back().start());
    const size_t size = bytes / segments / sizeof(*first);
    // The first is taken first.
    for (size_t i = segments; i-- > 0;) {
      spares_.emplace_back(first + i * size, size);
    }
  }
  const std::span<const void*> segment = spares_.back();
  spares_.pop_back();
  start_ = segment.data();
  bottom_ = start_;
  top_ = start_;
  limit_ = start_ + segment.size();
}

void MarkStack::Shrink() {
  KeepAsSpare(start_, limit_);
  const Segment& below = lower_.back();
  start_ = below.start;
  bottom_ = below.bottom;
  top_ = below.top;
  limit_ = below.limit;
  lower_.pop_back();
}

void MarkStack::KeepAsSpare(const void** start, const void** limit) {
  if (start != first_.data()) spares_.emplace_back(start, limit);
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
    KeepAsSpare(lowest.start, lowest.limit);
    lower_.pop_front();
  }
  return taken;
}

}  // namespace bibop
