#include "bibop/heap/cage.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/free_runs.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

template <size_t size>
struct Sized {
  std::byte bytes[size];
};

using Bytes = Sized<1>;

// A class of cells that come from several blocks.
const SizeClass& ManyBlocks() { return SizeClassOf(FindSizeClass(45000, 8)); }

class CageTest : public ::testing::Test {
 protected:
  explicit CageTest(size_t max_bytes = Cage::kCapacity)
      : cage_(Cage::Create(max_bytes).value()) {}

  template <size_t size>
  BlockDescriptor* Allocate() {
    return cage_->AllocateUniform(kTypeInfo<Sized<size>>, 1).value();
  }
  BlockDescriptor* AllocateSpan(size_t blocks) {
    return cage_->AllocateSpan(kTypeInfo<Bytes>, blocks * kBlockSize, 1)
        .value();
  }
  absl::StatusCode TrySpan(size_t size) {
    return cage_->AllocateSpan(kTypeInfo<Bytes>, size, 1).status().code();
  }

  std::unique_ptr<Cage> cage_;
};

TEST_F(CageTest, EveryAddressOfABlockFindsItsDescriptor) {
  BlockDescriptor* a = Allocate<48>();
  BlockDescriptor* b = Allocate<16>();
  for (BlockDescriptor* block : {a, b}) {
    std::byte* start = Cage::StartOf(block);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(start) % kBlockSize, 0u);
    for (size_t offset : {size_t{0}, size_t{1}, kBlockSize - 1}) {
      EXPECT_EQ(Cage::DescriptorOf(start + offset), block);
      EXPECT_EQ(Cage::OffsetInBlock(start + offset), offset);
      EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(start + offset)),
                block);
    }
  }
}

TEST_F(CageTest, EveryBlockOfARunFindsTheFirst) {
  ASSERT_GT(ManyBlocks().blocks, 1);
  BlockDescriptor* mixed = cage_->AllocateMixed(ManyBlocks(), 1).value();
  BlockDescriptor* span = AllocateSpan(11);
  EXPECT_EQ(mixed->run_blocks, ManyBlocks().blocks);
  EXPECT_EQ(span->run_blocks, 11u);
  for (BlockDescriptor* first : {mixed, span}) {
    for (size_t i = 0; i < first->run_blocks; ++i) {
      std::byte* inside = Cage::StartOf(first) + i * kBlockSize + 17;
      BlockDescriptor* block = Cage::DescriptorOf(inside);
      EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(inside)), block);
      EXPECT_EQ(block->first(), first);
      EXPECT_EQ(block->OffsetInRun(Cage::OffsetInBlock(inside)),
                i * kBlockSize + 17);
      EXPECT_EQ(block->marks, first->marks);
      EXPECT_EQ(block->alloc_bits, first->alloc_bits);
    }
  }
  cage_->CheckInvariants();
}

TEST_F(CageTest, WordsThatPointIntoNoBlockFindNone) {
  BlockDescriptor* block = AllocateSpan(9);
  std::byte* start = Cage::StartOf(block);
  std::byte* end = start + 9 * kBlockSize;
  int on_stack = 0;
  EXPECT_EQ(cage_->FindBlock(0), nullptr);
  EXPECT_EQ(cage_->FindBlock(~uintptr_t{0}), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(&on_stack)), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(start - 1)), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(end)), nullptr);
  EXPECT_NE(cage_->FindBlock(reinterpret_cast<uintptr_t>(end - 1)), nullptr);
  cage_->Free(block);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(start)), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(end - 1)), nullptr);
}

TEST_F(CageTest, ANewBlockHasNoObjectEvenIfItWasUsedBefore) {
  for (int round = 0; round < 3; ++round) {
    BlockDescriptor* block = Allocate<24>();
    EXPECT_EQ(NextFreeRun(*block, 0).last, kBlockSize / 24);
    ReadyCells(*block, {0, kBlockSize / 24}, 0);
    cage_->Free(block);
  }
}

// Every part of it, of blocks of all kinds.
TEST_F(CageTest, SideRecordsDoNotOverlap) {
  std::vector<BlockDescriptor*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      blocks.push_back(Allocate<16>());
      blocks.push_back(Allocate<56>());
      blocks.push_back(Allocate<4096>());
      blocks.push_back(cage_->AllocateMixed(SizeClassOf(i % 4), 1).value());
      blocks.push_back(cage_->AllocateMixed(ManyBlocks(), 1).value());
      blocks.push_back(AllocateSpan(8));
    }
    std::set<std::pair<const void*, const void*>> used;
    for (const BlockDescriptor* block : blocks) {
      // Sweeping reads the mark bytes of all cells whose bits share a word.
      used.insert({block->marks, block->marks + 64 * block->alloc_words()});
      used.insert(
          {block->alloc_bits, block->alloc_bits + block->alloc_words()});
      ASSERT_EQ(block->type_ids != nullptr, block->kind == BlockKind::kMixed);
      if (block->type_ids == nullptr) continue;
      used.insert({block->type_ids, block->type_ids + block->cell_count});
    }
    ASSERT_GE(used.size(), 2 * blocks.size());
    const void* end = nullptr;
    for (const auto& [first, last] : used) {
      ASSERT_GE(first, end);
      end = last;
    }
    cage_->CheckInvariants();
    // Every other one is used again, for another size perhaps.
    std::vector<BlockDescriptor*> kept;
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (i % 2 == 0) {
        kept.push_back(blocks[i]);
      } else {
        cage_->Free(blocks[i]);
      }
    }
    blocks = kept;
  }
}

TEST_F(CageTest, AnObjectLargerThanTheAddressSpaceIsAStatus) {
  for (size_t size : {Cage::kCapacity + 1, ~size_t{0}, ~size_t{0} - 7}) {
    EXPECT_EQ(TrySpan(size), absl::StatusCode::kResourceExhausted) << size;
  }
  EXPECT_EQ(cage_->bytes_in_use(), 0u);
  EXPECT_EQ(cage_->bytes_committed(), 0u);
}

TEST(Cage, WhatTheAddressSpaceHasNoRoomForIsAStatusAndTakesNothing) {
  std::unique_ptr<Cage> cage = Cage::Create(~size_t{0}).value();
  ASSERT_TRUE(cage->AllocateUniform(kTypeInfo<Bytes>, 1).ok());
  const auto try_all = [&cage]() {
    return cage->AllocateSpan(kTypeInfo<Bytes>, Cage::kCapacity, 1)
        .status()
        .code();
  };
  EXPECT_EQ(try_all(), absl::StatusCode::kResourceExhausted);
  const size_t committed = cage->bytes_committed();
  for (int i = 0; i < 2000; ++i) (void)try_all();
  EXPECT_EQ(cage->bytes_committed(), committed) << "a side record was kept";
  EXPECT_EQ(cage->bytes_in_use(), kBlockSize);
  cage->CheckInvariants();
}

class SmallCageTest : public CageTest {
 protected:
  SmallCageTest() : CageTest(kBlocks * kBlockSize) {}

  static constexpr size_t kBlocks = 12;
};

TEST_F(SmallCageTest, TheLimitIsAStatusAndFreeingMakesRoom) {
  std::vector<BlockDescriptor*> blocks;
  for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(Allocate<16>());
  EXPECT_EQ(cage_->bytes_in_use(), kBlocks * kBlockSize);
  const absl::StatusOr<BlockDescriptor*> refused =
      cage_->AllocateUniform(kTypeInfo<Sized<16>>, 1);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  cage_->Free(blocks[1]);
  EXPECT_EQ(Allocate<16>(), blocks[1]);
}

TEST_F(SmallCageTest, ARefusedSpanLeavesNothingBehind) {
  Allocate<16>();
  EXPECT_EQ(TrySpan(kBlocks * kBlockSize),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cage_->bytes_in_use(), kBlockSize);
  cage_->CheckInvariants();
  EXPECT_EQ(TrySpan((kBlocks - 1) * kBlockSize), absl::StatusCode::kOk);
}

TEST_F(SmallCageTest, ExternalBytesTakeRoom) {
  BlockDescriptor* span = AllocateSpan(8);
  cage_->AdjustExternalBytes(3 * kBlockSize + 1);
  EXPECT_EQ(TrySpan(kBlockSize), absl::StatusCode::kResourceExhausted);
  cage_->AdjustExternalBytes(-1);
  EXPECT_EQ(TrySpan(kBlockSize), absl::StatusCode::kOk);
  // More may be taken than there is: it is taken already.
  cage_->AdjustExternalBytes(1 << 30);
  cage_->Free(span);
  EXPECT_EQ(TrySpan(1), absl::StatusCode::kResourceExhausted);
  // Taken back twice, it makes no room that was not there.
  cage_->AdjustExternalBytes(-(int64_t{1} << 40));
  EXPECT_EQ(TrySpan(12 * kBlockSize), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(TrySpan(11 * kBlockSize), absl::StatusCode::kOk);
  cage_->CheckInvariants();
}

TEST_F(SmallCageTest, BlocksLeaveExternalBytesWhatIsReserved) {
  cage_->ReserveExternal(4 * kBlockSize);
  EXPECT_EQ(TrySpan((kBlocks - 3) * kBlockSize),
            absl::StatusCode::kResourceExhausted);
  // It is theirs, not on top of them.
  cage_->AdjustExternalBytes(3 * kBlockSize);
  EXPECT_EQ(TrySpan((kBlocks - 4) * kBlockSize), absl::StatusCode::kOk);
  EXPECT_EQ(cage_->counted_bytes(), (kBlocks - 1) * kBlockSize);
  cage_->ReserveExternal(0);
  EXPECT_EQ(TrySpan(1), absl::StatusCode::kOk);
}

TEST_F(SmallCageTest, ThePeakOfExternalBytesIsThatSinceItWasTaken) {
  cage_->AdjustExternalBytes(5);
  cage_->AdjustExternalBytes(-3);
  EXPECT_EQ(cage_->TakeExternalPeak(), 5u);
  EXPECT_EQ(cage_->TakeExternalPeak(), 2u);
  cage_->AdjustExternalBytes(-7);
  EXPECT_EQ(cage_->TakeExternalPeak(), 2u);
  EXPECT_EQ(cage_->TakeExternalPeak(), 0u);
}

TEST_F(SmallCageTest, FreeBlocksKeepTheirMemoryAsFarAsTheLimitLeavesIt) {
  std::vector<BlockDescriptor*> blocks;
  for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(Allocate<16>());
  for (size_t i = 0; i < 8; ++i) cage_->Free(blocks[i]);
  EXPECT_EQ(cage_->free_resident_bytes(), 8 * kBlockSize);
  cage_->AdjustExternalBytes(5 * kBlockSize);
  EXPECT_LE(cage_->free_resident_bytes(), 3 * kBlockSize);
  cage_->CheckInvariants();
}

// A regression: external bytes may exceed the limit by themselves, and then
// what was freed stayed resident.
TEST_F(SmallCageTest, BeyondTheLimitFreeBlocksKeepNoMemory) {
  std::vector<BlockDescriptor*> blocks;
  for (size_t i = 0; i < kBlocks; ++i) blocks.push_back(Allocate<16>());
  cage_->AdjustExternalBytes(kBlocks * kBlockSize);
  for (BlockDescriptor* block : blocks) {
    cage_->Free(block);
    EXPECT_EQ(cage_->free_resident_bytes(), 0u);
  }
  cage_->CheckInvariants();
}

TEST_F(SmallCageTest, BlocksOnTheirWayBackToTheSystemAreNotHandedOut) {
  BlockDescriptor* block = Allocate<16>();
  std::byte* start = Cage::StartOf(block);
  UnpoisonForObject(start, 1);
  *start = std::byte{1};
  cage_->Free(block);
  const BlockRun run = cage_->TakeResident(1).value();
  EXPECT_EQ(run.count, 1u);
  EXPECT_EQ(cage_->TakeResident(1), std::nullopt);
  EXPECT_NE(Allocate<16>(), block);
  cage_->DecommitBlocks(run);
  cage_->ReturnDecommitted(run);
  EXPECT_EQ(cage_->free_resident_bytes(), 0u);
  ASSERT_EQ(Allocate<16>(), block);
  UnpoisonForObject(start, 1);
  EXPECT_EQ(*start, std::byte{0}) << "the system took the memory back";
}

// Takes all blocks that `allocate` finds room for, gives them back, and returns
// how many.
template <class F>
size_t FillAndFree(Cage& cage, F allocate) {
  std::vector<BlockDescriptor*> blocks;
  for (;;) {
    const absl::StatusOr<BlockDescriptor*> block = allocate();
    if (!block.ok()) break;
    blocks.push_back(*block);
  }
  for (BlockDescriptor* block : blocks) cage.Free(block);
  return blocks.size();
}

class FullCageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // .ci/run has a step with such a cage.
    if (kCageSizeLog2 > 32) GTEST_SKIP() << "needs --//:cage_size=4GiB";
    cage_ = Cage::Create(Cage::kCapacity).value();
  }

  template <size_t size>
  size_t Fill() {
    return FillAndFree(*cage_, [this]() {
      return cage_->AllocateUniform(kTypeInfo<Sized<size>>, 1);
    });
  }

  static constexpr size_t kAll = Cage::kCapacity / kBlockSize;
  std::unique_ptr<Cage> cage_;
};

// A regression: the side records of one size never served another, and the
// table of records was used up by sizes that were no longer needed.
TEST_F(FullCageTest, OnceEmptyItCanBeFullOfAnySize) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Fill<40>(), kAll);
    EXPECT_EQ(Fill<32>(), kAll);
    EXPECT_EQ(Fill<24>(), kAll);
    EXPECT_EQ(Fill<16>(), kAll);
  }
}

TEST_F(FullCageTest, WithABlockInUseItCanBeFullOfAnySize) {
  ASSERT_TRUE(cage_->AllocateUniform(kTypeInfo<Sized<64>>, 1).ok());
  EXPECT_EQ(Fill<16>(), kAll - 1);
  EXPECT_EQ(Fill<24>(), kAll - 1);
  EXPECT_EQ(Fill<40>(), kAll - 1);
}

// The table of side records says how full it can be of the smallest.
TEST_F(FullCageTest, ItCanBeFullOfMixedBlocksOfAnySizeClass) {
  for (size_t number : {size_t{0}, size_t{1}, size_t{2}, kNumSmallClasses}) {
    const SizeClass& size_class = SizeClassOf(number);
    const size_t runs = FillAndFree(
        *cage_, [&]() { return cage_->AllocateMixed(size_class, 1); });
    const size_t all = kAll / size_class.blocks;
    EXPECT_LE(runs, all);
    EXPECT_GE(runs, number == 0 ? all * 7 / 10 : all)
        << "cells of " << size_class.cell_size << " bytes";
  }
}

TEST_F(FullCageTest, OnceEmptyItHasRoomForASpanOfAllBlocks) {
  EXPECT_EQ(Fill<16>(), kAll);
  const absl::StatusOr<BlockDescriptor*> span =
      cage_->AllocateSpan(kTypeInfo<Bytes>, Cage::kCapacity, 1);
  ASSERT_TRUE(span.ok()) << span.status();
  EXPECT_EQ((*span)->cell_size, Cage::kCapacity);
  EXPECT_FALSE(cage_->AllocateUniform(kTypeInfo<Bytes>, 1).ok());
  cage_->CheckInvariants();
}

TEST(Cage, HeapsDoNotShareAddresses) {
  std::unique_ptr<Cage> a = Cage::Create(Cage::kCapacity).value();
  std::unique_ptr<Cage> b = Cage::Create(Cage::kCapacity).value();
  BlockDescriptor* in_a = a->AllocateUniform(kTypeInfo<int>, 1).value();
  std::byte* start = Cage::StartOf(in_a);
  EXPECT_EQ(b->FindBlock(reinterpret_cast<uintptr_t>(start)), nullptr);
  EXPECT_TRUE(a->Contains(start));
  EXPECT_FALSE(b->Contains(start));
}

}  // namespace
}  // namespace bibop
