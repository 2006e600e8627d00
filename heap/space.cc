#include "bibop/heap/space.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/sweep.h"

namespace bibop {
namespace {

// The first of the lists of settled blocks with room that has any, the fullest
// first; kKinds if none has.
size_t FullestWithRoom(const Space::Lists& lists) {
  for (size_t kind = Space::kSettledHalf; kind <= Space::kSettledSparse;
       ++kind) {
    if (!lists[kind].empty()) return kind;
  }
  return Space::kKinds;
}

// Which block of the list who had it as `home` is given.
size_t IndexFor(const Space::List& list, uint16_t home) {
  constexpr size_t kFew = 16;
  for (size_t i = 1; i <= std::min(list.size(), kFew); ++i) {
    if (list[list.size() - i]->home == home) return list.size() - i;
  }
  return list.size() - 1;
}

}  // namespace

Space::Kind Space::KindOf(const BlockDescriptor& block,
                          const SweepResult& found) {
  const size_t cells = block.cell_count;
  const size_t live = found.live_objects;
  const bool full = live == cells;
  // Each of the larger cells takes a slow path wherever it lies.
  const bool tight =
      (cells - live) * kTight < cells && block.cell_size <= kMaxSmallSize;
  if (found.any_young) {
    return full ? kYoungFull : tight ? kYoungTight : kYoungWithRoom;
  }
  if (full) return kSettledFull;
  if (tight) return kSettledTight;
  if (live == 0) return kSettledSparse;
  const size_t halvings = std::bit_width((cells - 1) / live) - size_t{1};
  return static_cast<Kind>(
      std::min<size_t>(kSettledHalf + halvings, kSettledSparse));
}

bool Space::AnyUnswept() const {
  return std::any_of(unswept.begin(), unswept.end(),
                     [](const List& list) { return !list.empty(); });
}

Space::List& Space::NextUnswept() {
  for (const Kind kind :
       {kWithRoom, kFull, kYoungWithRoom, kYoungTight, kYoungFull}) {
    if (!unswept[kind].empty()) return unswept[kind];
  }
  const size_t fullest = FullestWithRoom(unswept);
  if (fullest != kKinds) return unswept[fullest];
  return unswept[unswept[kSettledTight].empty() ? kSettledFull : kSettledTight];
}

Space::List& Space::LastUnswept() {
  return *std::find_if(unswept.begin(), unswept.end(),
                       [](const List& list) { return !list.empty(); });
}

Space::List* Space::NextUnsweptWithRoom() {
  if (!unswept[kYoungWithRoom].empty()) return &unswept[kYoungWithRoom];
  const size_t fullest = FullestWithRoom(unswept);
  return fullest == kKinds ? nullptr : &unswept[fullest];
}

size_t Space::NextWithRoom() const {
  for (const size_t kind : {kWithRoom, kYoungWithRoom}) {
    if (!swept[kind].empty()) return kind;
  }
  return FullestWithRoom(swept);
}

size_t Space::NextTight() const {
  for (const size_t kind : {kYoungTight, kSettledTight}) {
    if (!swept[kind].empty()) return kind;
  }
  return kKinds;
}

BlockDescriptor* Space::TakeSwept(size_t kind, uint16_t home) {
  List& list = swept[kind];
  size_t index = IndexFor(list, home);
  BlockDescriptor* block = list[index];
  size_t& left = to_remember[kind];
  if (index < left) {
    to_remember_taken.push_back(block);
    // What comes last in the list may have been looked at.
    --left;
    list[index] = list[left];
    index = left;
  }
  list[index] = list.back();
  list.pop_back();
  return block;
}

BlockDescriptor* Space::TakeUnswept(List& list, uint16_t home) {
  const size_t index = IndexFor(list, home);
  BlockDescriptor* block = std::exchange(list[index], list.back());
  list.pop_back();
  return block;
}

size_t Space::EndMark(CollectionKind kind) {
  current = nullptr;
  returned.clear();
  to_remember = {};
  to_remember_taken.clear();
  size_t count = 0;
  for (size_t list = 0; list < kKinds; ++list) {
    if (IsSettled(list) && kind == CollectionKind::kMinor) continue;
    // The last to be listed, so the first to be used again, were used last.
    unswept[list].swap(swept[list]);
    count += unswept[list].size();
  }
  return count;
}

void Space::AddSwept(BlockDescriptor* block, const SweepResult& found) {
  swept[KindOf(*block, found)].push_back(block);
}

}  // namespace bibop
