#include "bibop/heap/free_runs.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/log/absl_check.h"

namespace bibop {
namespace {

constexpr uint32_t kWord = 64;

}  // namespace

void FreeRuns::Insert(BlockRun run) {
  by_first_.emplace(run.first, run.count);
  by_length_.emplace(run.count, run.first);
}

void FreeRuns::Erase(ByFirst::iterator at) {
  by_length_.erase({at->second, at->first});
  by_first_.erase(at);
}

void FreeRuns::SetResident(BlockRun run, bool resident) {
  const uint32_t end = run.first + run.count;
  if (resident && resident_.size() * kWord < end) {
    resident_.resize((size_t{end} + kWord - 1) / kWord);
  }
  const auto limit =
      static_cast<uint32_t>(std::min<size_t>(end, resident_.size() * kWord));
  for (uint32_t first = run.first; first < limit;) {
    const uint32_t last = std::min(limit, (first / kWord + 1) * kWord);
    const uint64_t mask = ~uint64_t{0} >> (kWord - (last - first))
                                              << (first % kWord);
    uint64_t& word = resident_[first / kWord];
    resident_count_ -= std::popcount(word & mask);
    word &= ~mask;
    if (resident) {
      word |= mask;
      resident_count_ += last - first;
    }
    first = last;
  }
}

void FreeRuns::Add(BlockRun run, bool resident) {
  ABSL_DCHECK_GT(run.count, 0u);
  SetResident(run, resident);
  count_ += run.count;
  const auto after = by_first_.lower_bound(run.first);
  if (after != by_first_.end() && after->first == run.first + run.count) {
    run.count += after->second;
    Erase(after);
  }
  const auto next = by_first_.lower_bound(run.first);
  if (next != by_first_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == run.first) {
      run = {before->first, before->second + run.count};
      Erase(before);
    }
  }
  Insert(run);
}

void FreeRuns::Remove(BlockRun run) {
  const auto at = std::prev(by_first_.upper_bound(run.first));
  const BlockRun whole = {at->first, at->second};
  Erase(at);
  if (whole.first < run.first) Insert({whole.first, run.first - whole.first});
  const uint32_t end = run.first + run.count;
  const uint32_t whole_end = whole.first + whole.count;
  if (end < whole_end) Insert({end, whole_end - end});
  SetResident(run, false);
  count_ -= run.count;
}

std::optional<uint32_t> FreeRuns::Take(uint32_t count) {
  const auto fit = by_length_.lower_bound({count, 0});
  if (fit == by_length_.end()) return std::nullopt;
  const uint32_t first = fit->second;
  Remove({first, count});
  return first;
}

// The highest resident blocks of a word that are neighbours, at most `most`.
std::optional<BlockRun> FreeRuns::TopOfWord(size_t word, uint32_t most) const {
  const uint64_t bits = resident_[word];
  if (bits == 0) return std::nullopt;
  const uint32_t top = kWord - std::countl_zero(bits);
  const uint32_t count =
      std::min<uint32_t>(most, std::countl_one(bits << (kWord - top)));
  return BlockRun{static_cast<uint32_t>(word) * kWord + top - count, count};
}

std::optional<BlockRun> FreeRuns::TakeResident(uint32_t most) {
  if (resident_count_ == 0) return std::nullopt;
  std::optional<BlockRun> found;
  // Whole huge pages, and as many more below the first as follow one another.
  for (size_t word = resident_.size(); word-- > 0;) {
    if (resident_[word] == ~uint64_t{0}) {
      const uint32_t first = static_cast<uint32_t>(word) * kWord;
      if (!found.has_value()) {
        found = BlockRun{first, kWord};
      } else {
        found = BlockRun{first, found->count + kWord};
      }
      if (found->count + kWord > most) break;
    } else if (found.has_value()) {
      break;
    }
  }
  for (size_t word = resident_.size(); !found.has_value() && word-- > 0;) {
    found = TopOfWord(word, most);
  }
  Remove(*found);
  return found;
}

uint32_t FreeRuns::LengthBefore(uint32_t end) const {
  const auto next = by_first_.lower_bound(end);
  if (next == by_first_.begin()) return 0;
  const auto before = std::prev(next);
  return before->first + before->second == end ? before->second : 0;
}

void FreeRuns::CheckInvariants() const {
  ABSL_CHECK_EQ(by_first_.size(), by_length_.size());
  size_t count = 0;
  size_t resident = 0;
  uint64_t end = 0;
  bool any = false;
  for (const auto& [first, length] : by_first_) {
    ABSL_CHECK_GT(length, 0u);
    ABSL_CHECK(by_length_.contains({length, first}));
    ABSL_CHECK(!any || first > end) << "runs overlap or touch";
    any = true;
    end = uint64_t{first} + length;
    count += length;
    for (uint64_t block = first; block < end; ++block) {
      const size_t word = block / kWord;
      if (word < resident_.size()) {
        resident += resident_[word] >> (block % kWord) & 1;
      }
    }
  }
  ABSL_CHECK_EQ(count, count_);
  ABSL_CHECK_EQ(resident, resident_count_);
  size_t bits = 0;
  for (const uint64_t word : resident_) bits += std::popcount(word);
  ABSL_CHECK_EQ(bits, resident_count_) << "a block in use counts as resident";
}

}  // namespace bibop
