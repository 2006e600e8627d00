#include "bibop/heap/side_table.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/virtual_memory.h"

namespace bibop {

SideTable::SideTable(std::byte* start, size_t capacity)
    : frontier_(start, capacity, size_t{64} << 10) {}

absl::StatusOr<uint32_t> SideTable::TakeChunk() {
  for (std::vector<uint32_t>* empty : {&warm_chunks_, &cold_chunks_}) {
    if (empty->empty()) continue;
    const uint32_t number = empty->back();
    empty->pop_back();
    return number;
  }
  if (absl::Status s =
          frontier_.EnsureCommitted((chunks_.size() + 1) * kChunkSize);
      !s.ok()) {
    return s;
  }
  chunks_.push_back({});
  return static_cast<uint32_t>(chunks_.size() - 1);
}

void SideTable::AddToPartial(uint32_t number) {
  Chunk& chunk = chunks_[number];
  std::vector<uint32_t>& partial = partial_[chunk.units];
  chunk.position = static_cast<uint32_t>(partial.size());
  partial.push_back(number);
}

void SideTable::RemoveFromPartial(uint32_t number) {
  const Chunk& chunk = chunks_[number];
  std::vector<uint32_t>& partial = partial_[chunk.units];
  partial[chunk.position] = partial.back();
  chunks_[partial.back()].position = chunk.position;
  partial.pop_back();
}

absl::StatusOr<std::byte*> SideTable::Allocate(size_t units) {
  ABSL_DCHECK(units > 0 && units <= kMaxUnits);
  if (partial_[units].empty()) {
    absl::StatusOr<uint32_t> taken = TakeChunk();
    if (!taken.ok()) return taken.status();
    Chunk& chunk = chunks_[*taken];
    chunk = {.units = static_cast<uint16_t>(units)};
    const size_t records = RecordsPerChunk(units);
    for (size_t i = 0; i < records; ++i) chunk.free[i / 64] |= 1ULL << i % 64;
    AddToPartial(*taken);
  }
  const uint32_t number = partial_[units].back();
  Chunk& chunk = chunks_[number];
  auto* const word =
      std::ranges::find_if(chunk.free, [](uint64_t bits) { return bits != 0; });
  const size_t index =
      (word - chunk.free.begin()) * 64 + std::countr_zero(*word);
  *word &= *word - 1;
  if (++chunk.used == RecordsPerChunk(units)) RemoveFromPartial(number);
  return frontier_.start() + size_t{number} * kChunkSize +
         index * units * kUnit;
}

void SideTable::Free(std::byte* record) {
  const size_t offset = record - frontier_.start();
  const auto number = static_cast<uint32_t>(offset / kChunkSize);
  Chunk& chunk = chunks_[number];
  const size_t index = offset % kChunkSize / (chunk.units * kUnit);
  ABSL_DCHECK_EQ(chunk.free[index / 64] >> index % 64 & 1, 0u);
  if (chunk.used == RecordsPerChunk(chunk.units)) AddToPartial(number);
  chunk.free[index / 64] |= 1ULL << index % 64;
  if (--chunk.used > 0) return;
  RemoveFromPartial(number);
  chunk.units = 0;
  warm_chunks_.push_back(number);
}

void SideTable::ReleaseEmptyChunks(size_t most) {
  for (; most > 0 && !warm_chunks_.empty(); --most) {
    const uint32_t number = warm_chunks_.back();
    warm_chunks_.pop_back();
    Decommit(frontier_.start() + size_t{number} * kChunkSize, kChunkSize);
    cold_chunks_.push_back(number);
  }
}

void SideTable::CheckInvariants() const {
  size_t empty = 0;
  size_t partial = 0;
  for (size_t number = 0; number < chunks_.size(); ++number) {
    const Chunk& chunk = chunks_[number];
    if (chunk.units == 0) {
      ++empty;
      continue;
    }
    size_t free = 0;
    for (const uint64_t bits : chunk.free) free += std::popcount(bits);
    ABSL_CHECK_EQ(free + chunk.used, RecordsPerChunk(chunk.units));
    ABSL_CHECK_GT(chunk.used, 0u);
    if (free == 0) continue;
    ++partial;
    ABSL_CHECK_EQ(partial_[chunk.units].at(chunk.position), number);
  }
  ABSL_CHECK_EQ(empty, warm_chunks_.size() + cold_chunks_.size());
  size_t listed = 0;
  for (const std::vector<uint32_t>& list : partial_) listed += list.size();
  ABSL_CHECK_EQ(partial, listed);
}

}  // namespace bibop
