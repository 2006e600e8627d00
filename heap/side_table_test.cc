#include "bibop/heap/side_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/virtual_memory.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kCapacity = size_t{1} << 20;
constexpr size_t kChunk = size_t{64} << 10;
constexpr size_t kChunks = kCapacity / kChunk;

class SideTableTest : public ::testing::Test {
 protected:
  struct Record {
    size_t bytes;
    std::byte pattern;
  };

  // Returns whether there was room. Fills the record with a pattern.
  bool Allocate(size_t units) {
    const absl::StatusOr<std::byte*> start = table_.Allocate(units);
    if (!start.ok()) {
      EXPECT_EQ(start.status().code(), absl::StatusCode::kResourceExhausted);
      return false;
    }
    const size_t bytes = units * SideTable::kUnit;
    const auto [at, is_new] = records_.insert(
        {*start, {bytes, static_cast<std::byte>(1 + random_() % 255)}});
    EXPECT_TRUE(is_new);
    EXPECT_GE(*start, range_.start());
    EXPECT_LE(*start + bytes, range_.start() + kCapacity);
    EXPECT_EQ((*start - range_.start()) % SideTable::kUnit, 0);
    if (at != records_.begin()) {
      const auto& [before, record] = *std::prev(at);
      EXPECT_LE(before + record.bytes, *start);
    }
    if (const auto after = std::next(at); after != records_.end()) {
      EXPECT_LE(*start + bytes, after->first);
    }
    std::fill_n(*start, bytes, at->second.pattern);
    return true;
  }

  void Check(std::byte* start, Record record) {
    EXPECT_EQ(std::count(start, start + record.bytes, record.pattern),
              static_cast<std::ptrdiff_t>(record.bytes))
        << "somebody wrote to a record in use";
  }

  void Free(std::map<std::byte*, Record>::iterator at) {
    Check(at->first, at->second);
    std::byte* start = at->first;
    records_.erase(at);
    table_.Free(start);
  }

  void FreeAny() {
    if (records_.empty()) return;
    Free(std::next(records_.begin(),
                   static_cast<std::ptrdiff_t>(random_() % records_.size())));
  }

  void FreeAll() {
    while (!records_.empty()) Free(records_.begin());
  }

  // Takes all records of a size that there are, and returns how many.
  size_t Fill(size_t units) {
    size_t count = 0;
    while (Allocate(units)) ++count;
    return count;
  }

  std::mt19937 random_{6};  // NOLINT(cert-msc51-cpp): repeatable
  VirtualRange range_ = VirtualRange::Reserve(kCapacity, 4096).value();
  SideTable table_{range_.start(), kCapacity};
  std::map<std::byte*, Record> records_;
};

TEST_F(SideTableTest, RecordsAreThoseOfAModel) {
  const std::vector<size_t> sizes = {1, 2, 3, 5, 12, 36, 64, 100, 128};
  for (int step = 0; step < 20000; ++step) {
    // Now it fills, now it empties.
    const uint32_t allocates = step / 2000 % 2 == 0 ? 7 : 3;
    if (random_() % 10 < allocates) {
      Allocate(sizes[random_() % sizes.size()]);
    } else {
      FreeAny();
    }
    if (random_() % 100 == 0) table_.ReleaseEmptyChunks(random_() % 4);
    if (step % 10 == 0) table_.CheckInvariants();
    ASSERT_FALSE(HasFailure()) << step;
  }
  for (const auto& [start, record] : records_) Check(start, record);
  FreeAll();
  table_.CheckInvariants();
}

TEST_F(SideTableTest, AFullTableIsAStatusAndOneFreeRecordServesAgain) {
  EXPECT_EQ(Fill(36), kChunks * (kChunk / (36 * SideTable::kUnit)));
  FreeAny();
  EXPECT_FALSE(Allocate(35)) << "the chunk is cut for another size";
  EXPECT_TRUE(Allocate(36));
  EXPECT_FALSE(Allocate(36));
  table_.CheckInvariants();
}

// A regression: the records of one size never served another, and the table was
// used up by sizes that were no longer needed.
TEST_F(SideTableTest, OnceEmptyItCanBeFullOfAnySize) {
  for (size_t units : {1, 128, 7, 100, 2}) {
    EXPECT_EQ(Fill(units), kChunks * (kChunk / (units * SideTable::kUnit)));
    FreeAll();
    table_.CheckInvariants();
  }
}

TEST_F(SideTableTest, ChunksThatWereGivenBackServeAgain) {
  EXPECT_EQ(Fill(128), 8 * kChunks);
  FreeAll();
  table_.ReleaseEmptyChunks(kChunks / 2);
  table_.CheckInvariants();
  EXPECT_EQ(Fill(64), 16 * kChunks);
}

TEST_F(SideTableTest, GivingBackLeavesRecordsInUseAlone) {
  EXPECT_EQ(Fill(128), 8 * kChunks);
  // One chunk is empty, one has one record left, and the others are full.
  for (size_t number = 8; number < 23; ++number) {
    Free(records_.find(range_.start() + number * 128 * SideTable::kUnit));
  }
  table_.ReleaseEmptyChunks(kChunks);
  for (const auto& [start, content] : records_) Check(start, content);
}

TEST_F(SideTableTest, GivesBackEmptyChunksAndNoMoreThanItMay) {
  EXPECT_EQ(Fill(128), 8 * kChunks);
  FreeAll();
  table_.ReleaseEmptyChunks(10);
  size_t zero = 0;
  for (size_t chunk = 0; chunk < kChunks; ++chunk) {
    const std::byte* start = range_.start() + chunk * kChunk;
    zero += std::count(start, start + kChunk, std::byte{0}) == kChunk ? 1 : 0;
  }
  EXPECT_EQ(zero, 10u) << "memory that was given back reads as zero";
}

TEST_F(SideTableTest, ASizeTakesNoMoreThanItsRecordsNeed) {
  for (int i = 0; i < 28; ++i) Allocate(36);
  EXPECT_EQ(table_.committed(), kChunk);
  Allocate(36);
  EXPECT_EQ(table_.committed(), 2 * kChunk);
}

}  // namespace
}  // namespace bibop
