#include "bibop/heap/space.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "bibop/heap/block.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/size_classes.h"

namespace bibop {
namespace {

// The first of the lists of settled blocks with room that has any, the fullest
// first; null if none has.
Space::List* FullestWithRoom(Space::Lists& lists) {
  for (size_t kind = Space::kSettledHalf; kind <= Space::kSettledSparse;
       ++kind) {
    if (!lists[kind].empty()) return &lists[kind];
  }
  return nullptr;
}

}  // namespace

Space::Kind Space::KindOf(const BlockDescriptor& block, size_t live) {
  const size_t cells = block.cell_count;
  if (live == cells) return kSettledFull;
  // Each of the larger cells takes a slow path wherever it lies.
  if ((cells - live) * kTight < cells && block.cell_size <= kMaxSmallSize) {
    return kSettledTight;
  }
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
  for (const Kind kind : {kWithRoom, kFull}) {
    if (!unswept[kind].empty()) return unswept[kind];
  }
  if (List* list = FullestWithRoom(unswept)) return *list;
  return unswept[unswept[kSettledTight].empty() ? kSettledFull : kSettledTight];
}

Space::List& Space::LastUnswept() {
  return *std::find_if(unswept.begin(), unswept.end(),
                       [](const List& list) { return !list.empty(); });
}

Space::List* Space::NextUnsweptWithRoom() { return FullestWithRoom(unswept); }

Space::List* Space::NextWithRoom() {
  return swept[kWithRoom].empty() ? FullestWithRoom(swept) : &swept[kWithRoom];
}

size_t Space::EndMark(CollectionKind kind) {
  current = nullptr;
  returned.clear();
  size_t count = 0;
  for (size_t list = 0; list < kKinds; ++list) {
    if (IsSettled(list) && kind == CollectionKind::kMinor) continue;
    // The last to be listed, so the first to be used again, were used last.
    unswept[list].swap(swept[list]);
    count += unswept[list].size();
  }
  return count;
}

void Space::AddSwept(BlockDescriptor* block, size_t live) {
  swept[KindOf(*block, live)].push_back(block);
}

}  // namespace bibop
