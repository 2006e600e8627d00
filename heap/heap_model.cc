#include "bibop/heap/heap_model.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "absl/log/absl_check.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

std::byte PatternOf(uint32_t id) { return static_cast<std::byte>(id * 37 + 1); }

// Calls visit(byte) for bytes at both ends of an object's contents and some in
// between.
template <class F>
void ForSomeBytes(std::byte* start, const HeapModel::Object& object, F visit) {
  const size_t first = object.kind->header;
  for (size_t i = first; i < std::min(object.size, first + 64); ++i) {
    visit(start[i]);
  }
  for (size_t i = first + 64; i < object.size; i += 509) visit(start[i]);
  if (object.size > first) visit(start[object.size - 1]);
}

int64_t CellBytes(const std::byte* start) {
  return static_cast<int64_t>(Cage::DescriptorOf(start)->cell_size);
}

}  // namespace

void HeapModel::Add(std::byte* start, const ModelKind& kind, size_t size) {
  ABSL_CHECK_EQ(reinterpret_cast<uintptr_t>(start) % kind.type->alignment, 0u);
  CheckIsFree(start, size);
  const auto id = static_cast<uint32_t>(states_.size());
  const Object object = {&kind, size, id};
  ABSL_CHECK(live_.insert({start, object}).second);
  if (kind.type->destroy != nullptr) {
    DeathRecorder* recorder = this;
    std::memcpy(start, static_cast<const void*>(&recorder), sizeof(void*));
    std::memcpy(start + sizeof(void*), &id, sizeof(id));
  }
  states_.push_back(kind.type->destroy != nullptr ? State::kLive
                                                  : State::kNoDestructor);
  const std::byte pattern = PatternOf(id);
  ForSomeBytes(start, object, [pattern](std::byte& at) { at = pattern; });
  ++allocated_;
  allocated_bytes_ += CellBytes(start);
}

void HeapModel::Abandon(std::byte* start) {
  const auto at = live_.find(start);
  states_[at->second.id] = State::kNoDestructor;
  live_.erase(at);
  --allocated_;
  allocated_bytes_ -= CellBytes(start);
}

void HeapModel::Kill(const Objects::value_type& object) {
  State& state = states_[object.second.id];
  if (state == State::kLive) state = State::kDead;
  dead_.insert(object);
  ++freed_;
}

void HeapModel::Swept() {
  for (const auto& [start, object] : dead_) CheckIsGone(object);
  dead_.clear();
}

void HeapModel::HeapEnds() {
  for (const auto& [start, object] : live_) CheckContents(start, object);
  is_ending_ = true;
}

void HeapModel::HeapEnded() const {
  for (const auto& [start, object] : live_) CheckIsGone(object);
  for (const auto& [start, object] : dead_) CheckIsGone(object);
}

void HeapModel::Destroyed(uint32_t id) {
  State& state = states_[id];
  ABSL_CHECK(state == State::kDead || (is_ending_ && state == State::kLive))
      << "a destructor ran twice, or for a live object";
  state = State::kDestroyed;
}

// No object has any of these bytes, and the dead that had are destroyed.
void HeapModel::CheckIsFree(std::byte* start, size_t size) {
  const auto after = live_.lower_bound(start);
  ABSL_CHECK(after == live_.end() || after->first >= start + size);
  if (after != live_.begin()) {
    const auto& [before, object] = *std::prev(after);
    ABSL_CHECK(before + object.size <= start) << "objects overlap";
  }
  auto dead = dead_.lower_bound(start);
  while (dead != dead_.begin() &&
         std::prev(dead)->first + std::prev(dead)->second.size > start) {
    --dead;
  }
  while (dead != dead_.end() && dead->first < start + size) {
    CheckIsGone(dead->second);
    dead = dead_.erase(dead);
  }
}

void HeapModel::CheckIsGone(const Object& object) const {
  const State state = states_[object.id];
  ABSL_CHECK(state == State::kDestroyed || state == State::kNoDestructor)
      << "a destructor did not run";
}

void HeapModel::CheckIsKnown(const ObjectRef& found) const {
  auto at = live_.find(found.start);
  if (at == live_.end()) {
    at = dead_.find(found.start);
    ABSL_CHECK(at != dead_.end()) << "no object was allocated here";
    ABSL_CHECK(states_[at->second.id] != State::kDestroyed);
  }
  ABSL_CHECK_EQ(found.type, at->second.kind->type);
  ABSL_CHECK_GE(found.size, at->second.size);
}

void HeapModel::CheckContents(std::byte* start, const Object& object) {
  const std::byte pattern = PatternOf(object.id);
  ForSomeBytes(start, object, [pattern](std::byte byte) {
    ABSL_CHECK(byte == pattern) << "somebody wrote to an object";
  });
}

void HeapModel::Check(const ObjectHeap& heap) const {
  heap.CheckInvariants();
  size_t live = 0;
  heap.ForEachObject([&](ObjectRef found) {
    CheckIsKnown(found);
    live += live_.contains(found.start) ? 1 : 0;
  });
  ABSL_CHECK_EQ(live, live_.size()) << "an object was lost";
  ABSL_CHECK_EQ(heap.allocated().objects, allocated_);
  ABSL_CHECK_EQ(heap.allocated().bytes, allocated_bytes_);
  ABSL_CHECK_LE(heap.freed_objects(), freed_);
  ABSL_CHECK(!dead_.empty() || heap.freed_objects() == freed_);
}

}  // namespace bibop
