#include "bibop/heap/cage.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/build_config.h"
#include "bibop/heap/block.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

template <size_t size>
struct Sized {
  std::byte bytes[size];
};

class CageTest : public ::testing::Test {
 protected:
  explicit CageTest(size_t max_bytes = Cage::kCapacity)
      : cage_(Cage::Create(max_bytes).value()) {}

  template <size_t size>
  BlockDescriptor* Allocate() {
    return cage_->AllocateBlock(kTypeInfo<Sized<size>>, kTypeId<Sized<size>>, 1)
        .value();
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

TEST_F(CageTest, WordsThatPointIntoNoBlockFindNone) {
  BlockDescriptor* block = Allocate<48>();
  std::byte* start = Cage::StartOf(block);
  int on_stack = 0;
  EXPECT_EQ(cage_->FindBlock(0), nullptr);
  EXPECT_EQ(cage_->FindBlock(~uintptr_t{0}), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(&on_stack)), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(start - 1)), nullptr);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(start + kBlockSize)),
            nullptr);
  cage_->FreeBlock(block);
  EXPECT_EQ(cage_->FindBlock(reinterpret_cast<uintptr_t>(start)), nullptr);
}

TEST_F(CageTest, ANewBlockHasNoObjectEvenIfItWasUsedBefore) {
  for (int round = 0; round < 3; ++round) {
    BlockDescriptor* block = Allocate<24>();
    EXPECT_EQ(NextFreeRun(*block, 0).last, kBlockSize / 24);
    SetAllocBits(*block, {0, kBlockSize / 24});
    cage_->FreeBlock(block);
  }
}

TEST_F(CageTest, SideRecordsDoNotOverlap) {
  std::vector<BlockDescriptor*> blocks;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) {
      blocks.push_back(Allocate<16>());
      blocks.push_back(Allocate<56>());
      blocks.push_back(Allocate<32768>());
    }
    std::set<std::pair<const std::byte*, const std::byte*>> used;
    for (const BlockDescriptor* block : blocks) {
      const auto* marks = reinterpret_cast<const std::byte*>(block->marks);
      const auto* bits = reinterpret_cast<const std::byte*>(block->alloc_bits);
      ASSERT_LE(marks + block->cell_count, bits);
      used.insert({marks, bits + block->alloc_words() * 8});
    }
    ASSERT_EQ(used.size(), blocks.size());
    const std::byte* end = nullptr;
    for (const auto& [first, last] : used) {
      ASSERT_GE(first, end);
      end = last;
    }
    // Every other one is used again, for another size perhaps.
    std::vector<BlockDescriptor*> kept;
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (i % 2 == 0) {
        kept.push_back(blocks[i]);
      } else {
        cage_->FreeBlock(blocks[i]);
      }
    }
    blocks = kept;
  }
}

class SmallCageTest : public CageTest {
 protected:
  SmallCageTest() : CageTest(4 * kBlockSize) {}
};

TEST_F(SmallCageTest, TheLimitIsAStatusAndFreeingMakesRoom) {
  std::vector<BlockDescriptor*> blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back(Allocate<16>());
  EXPECT_EQ(cage_->bytes_in_use(), 4 * kBlockSize);
  const absl::StatusOr<BlockDescriptor*> refused =
      cage_->AllocateBlock(kTypeInfo<Sized<16>>, kTypeId<Sized<16>>, 1);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  cage_->FreeBlock(blocks[1]);
  EXPECT_EQ(Allocate<16>(), blocks[1]);
}

// Takes all blocks that there are, gives them back, and returns how many.
template <size_t size>
size_t FillAndFree(Cage& cage) {
  std::vector<BlockDescriptor*> blocks;
  for (;;) {
    absl::StatusOr<BlockDescriptor*> block =
        cage.AllocateBlock(kTypeInfo<Sized<size>>, kTypeId<Sized<size>>, 1);
    if (!block.ok()) break;
    blocks.push_back(*block);
  }
  for (BlockDescriptor* block : blocks) cage.FreeBlock(block);
  return blocks.size();
}

class FullCageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // .ci/run has a step with such a cage.
    if (kCageSizeLog2 > 32) GTEST_SKIP() << "needs --//:cage_size=4GiB";
    cage_ = Cage::Create(Cage::kCapacity).value();
  }

  static constexpr size_t kAll = Cage::kCapacity / kBlockSize;
  std::unique_ptr<Cage> cage_;
};

// A regression: the side records of one size never served another, and the
// table of records was used up by sizes that were no longer needed.
TEST_F(FullCageTest, OnceEmptyItCanBeFullOfAnySize) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(FillAndFree<40>(*cage_), kAll);
    EXPECT_EQ(FillAndFree<32>(*cage_), kAll);
    EXPECT_EQ(FillAndFree<24>(*cage_), kAll);
    EXPECT_EQ(FillAndFree<16>(*cage_), kAll);
  }
}

TEST_F(FullCageTest, WithABlockInUseLargerSideRecordsServeSmallerOnes) {
  ASSERT_TRUE(
      cage_->AllocateBlock(kTypeInfo<Sized<64>>, kTypeId<Sized<64>>, 1).ok());
  EXPECT_EQ(FillAndFree<16>(*cage_), kAll - 1);
  EXPECT_EQ(FillAndFree<24>(*cage_), kAll - 1);
  EXPECT_EQ(FillAndFree<32>(*cage_), kAll - 1);
  EXPECT_EQ(FillAndFree<40>(*cage_), kAll - 1);
}

TEST(Cage, HeapsDoNotShareAddresses) {
  std::unique_ptr<Cage> a = Cage::Create(Cage::kCapacity).value();
  std::unique_ptr<Cage> b = Cage::Create(Cage::kCapacity).value();
  BlockDescriptor* in_a =
      a->AllocateBlock(kTypeInfo<int>, kTypeId<int>, 1).value();
  EXPECT_EQ(b->FindBlock(reinterpret_cast<uintptr_t>(Cage::StartOf(in_a))),
            nullptr);
}

}  // namespace
}  // namespace bibop
