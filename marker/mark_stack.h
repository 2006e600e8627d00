// MarkStack: the pointers that a marker has found and has not looked at yet.
//
// It lies in segments, so that it is not copied to grow: the first is in the
// stack itself, those of a deep one are on huge pages where the system has
// them. (Each pointer of a large graph is pushed once and taken once: copying,
// and a page fault for each 512, took an eighth of a mark's time.) The system
// is asked for several of these at once, and gets them back in the end: while
// it changes one thread's address space other threads wait for theirs.
//
// Owned and used by one marker.
//
// Invariants: all segments but the top one have a pointer at least; in each,
// start <= bottom <= top <= limit.

#ifndef BIBOP_MARKER_MARK_STACK_H_
#define BIBOP_MARKER_MARK_STACK_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "absl/base/attributes.h"
#include "bibop/base/virtual_memory.h"

namespace bibop {

class MarkStack {
 public:
  // The most for which Reserve finds room.
  static constexpr size_t kMostReserved = 64;

  MarkStack() = default;
  MarkStack(const MarkStack&) = delete;
  MarkStack& operator=(const MarkStack&) = delete;

  // Pushes `object`; null is nothing.
  void Push(const void* object) {
    const void** top = Reserve(1);
    PushAt(top, object);
    Commit(top);
  }

  // For pushing several without a test, and a store to memory that the next has
  // to wait for, each:
  //
  //   const void** top = stack.Reserve(2);
  //   MarkStack::PushAt(top, one);
  //   MarkStack::PushAt(top, another);
  //   stack.Commit(top);
  //
  // REQUIRES: no more than were reserved, and nothing else in between.
  const void** Reserve(size_t count) {
    if (static_cast<size_t>(limit_ - top_) < count) [[unlikely]]
      Grow();
    return top_;
  }
  static void PushAt(const void**& top, const void* object) {
    // No branch: which Members are null is hard to predict.
    *top = object;
    top += object != nullptr ? 1 : 0;
  }
  void Commit(const void** top) { top_ = top; }

  bool empty() const { return top_ == bottom_ && lower_.empty(); }

  // Takes at least one and at most `most` pointers, the last ones. They are
  // good until the next call.
  //
  // REQUIRES: !empty().
  std::span<const void* const> Take(size_t most) {
    if (top_ == bottom_) [[unlikely]]
      Shrink();
    const size_t count = std::min(most, static_cast<size_t>(top_ - bottom_));
    top_ -= count;
    return {top_, count};
  }

  // Takes pointers of the lower half, `most` at most; none if there are few.
  // Takes no longer the more there are.
  std::vector<const void*> TakeLower(size_t most);

 private:
  static constexpr size_t kFirstSize = 512;

  struct Segment {
    const void** start;
    // The pointers are [bottom, top).
    const void** bottom;
    const void** top;
    const void** limit;
  };

  // Makes room for kMostReserved.
  ABSL_ATTRIBUTE_NOINLINE void Grow();
  // Goes to the segment below.
  //
  // REQUIRES: there is one, and the top one is empty.
  ABSL_ATTRIBUTE_NOINLINE void Shrink();
  // Keeps a segment that is empty for Grow.
  void KeepAsSpare(const void** start, const void** limit);

  std::array<const void*, kFirstSize> first_;
  // The top segment, see Segment.
  const void** start_ = first_.data();
  const void** bottom_ = first_.data();
  const void** top_ = first_.data();
  const void** limit_ = first_.data() + first_.size();
  // The others, the lowest first.
  std::deque<Segment> lower_;
  // What the others lie in, and of that those that are not used.
  std::unique_ptr<const void*[]> second_;
  std::vector<VirtualRange> memory_;
  std::vector<std::span<const void*>> spares_;
};

}  // namespace bibop

#endif  // BIBOP_MARKER_MARK_STACK_H_
