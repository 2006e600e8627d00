#include "bibop/heap/spaces.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/space.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

constexpr size_t kStores = static_cast<size_t>(CellsFor::kStores);

}  // namespace

Spaces::Spaces() {
  for (Space& space : mixed_[kStores]) space.for_stores = true;
  spans_[kStores].for_stores = true;
}

Space& Spaces::Use(Space& space) {
  if (!std::exchange(space.used, true)) {
    used_[space.for_stores ? kStores : 0].push_back(&space);
  }
  return space;
}

Space& Spaces::Uniform(TypeId id) {
  if (id >= uniform_.size()) uniform_.resize(size_t{id} + 1);
  return Use(uniform_[id]);
}

Space& Spaces::Mixed(CellsFor what, size_t size_class) {
  return Use(mixed_[static_cast<size_t>(what)][size_class]);
}

Space& Spaces::Spans(CellsFor what) {
  return Use(spans_[static_cast<size_t>(what)]);
}

void Spaces::ForEach(absl::FunctionRef<void(const Space&)> visit) const {
  for (const CellsFor what : kBoth) {
    for (const Space* space : used(what)) visit(*space);
  }
}

void Spaces::ForEachList(
    absl::FunctionRef<void(const Space::List&)> visit) const {
  ForEach([visit](const Space& space) {
    for (const Space::Lists* lists : {&space.unswept, &space.swept}) {
      for (const Space::List& list : *lists) visit(list);
    }
  });
}

bool Spaces::AnyUnswept() const {
  bool any = false;
  ForEach([&any](const Space& space) { any = any || space.AnyUnswept(); });
  return any;
}

size_t Spaces::EndMark(CollectionKind kind) {
  size_t objects = 0;
  for (const CellsFor what : kBoth) {
    for (Space* space : used(what)) {
      const size_t count = space->EndMark(kind);
      if (what == CellsFor::kObjects) objects += count;
    }
  }
  sweep_cursors_ = {};
  return objects;
}

Space* Spaces::NextUnswept(CellsFor what) {
  size_t& cursor = sweep_cursors_[static_cast<size_t>(what)];
  const std::vector<Space*>& spaces = used(what);
  while (cursor < spaces.size() && !spaces[cursor]->AnyUnswept()) ++cursor;
  return cursor < spaces.size() ? spaces[cursor] : nullptr;
}

void Spaces::BeginRemembering() {
  remember_cursor_ = 0;
  for (const CellsFor what : kBoth) {
    for (Space* space : used(what)) {
      for (size_t i = 0; i < Space::kKinds; ++i) {
        space->to_remember[i] = space->swept[i].size();
      }
    }
  }
}

size_t Spaces::TakeToRemember(absl::Span<BlockToRemember> blocks) {
  const std::vector<Space*>& objects = used(CellsFor::kObjects);
  const std::vector<Space*>& stores = used(CellsFor::kStores);
  size_t count = 0;
  for (; remember_cursor_ < objects.size() + stores.size();
       ++remember_cursor_) {
    Space& space = remember_cursor_ < objects.size()
                       ? *objects[remember_cursor_]
                       : *stores[remember_cursor_ - objects.size()];
    for (size_t kind = 0; kind < Space::kKinds; ++kind) {
      const bool young_live = space.for_stores && !Space::IsSettled(kind);
      for (size_t& left = space.to_remember[kind]; left > 0;) {
        if (count == blocks.size()) return count;
        blocks[count++] = {space.swept[kind][--left], young_live};
      }
    }
    for (Space::List& taken = space.to_remember_taken; !taken.empty();) {
      if (count == blocks.size()) return count;
      blocks[count++] = {taken.back(), space.for_stores};
      taken.pop_back();
    }
  }
  return count;
}

}  // namespace bibop
