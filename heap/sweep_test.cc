#include "bibop/heap/sweep.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "bibop/testing/tracked.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;
using ::testing::_;
using ::testing::HasSubstr;

struct Leaf {
  int64_t words[3];
};

struct WithTracked {
  explicit WithTracked(Lifetimes& lifetimes) : tracked(lifetimes) {}
  int64_t payload = 0;
  Tracked tracked;
};

struct alignas(16) OtherTracked {
  explicit OtherTracked(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
};

// Of a heap without generations.
constexpr Marks kMarks(/*generations=*/false);

class SweepTest : public ::testing::Test {
 protected:
  template <class T>
  BlockDescriptor* NewBlock() {
    return cage_->AllocateUniform(kTypeInfo<T>, 1).value();
  }

  // Makes a T in a free cell.
  template <class T, class... Args>
  T* Make(BlockDescriptor* block, size_t index, Args&&... args) {
    ReadyCells(*block, {index, index + 1}, kFreshMark);
    if (block->type_ids != nullptr) block->type_ids[index] = kTypeId<T>;
    std::byte* cell = Cage::StartOf(block) + index * block->cell_size;
    UnpoisonForObject(cell, sizeof(T));
    return new (cell) T{std::forward<Args>(args)...};
  }

  std::unique_ptr<Cage> cage_ = Cage::Create(Cage::kCapacity).value();
};

TEST_F(SweepTest, KeepsExactlyWhatIsAlive) {
  BlockDescriptor* block = NewBlock<Leaf>();
  std::mt19937 random(2);  // NOLINT(cert-msc51-cpp): repeatable
  for (int i = 0; i < 200; ++i) {
    Marks marks(/*generations=*/i % 3 != 0);
    for (int j = 0; j < i; ++j) {
      marks = marks.Next(j % 4 == 0 ? CollectionKind::kMajor
                                    : CollectionKind::kMinor);
    }
    const std::array<MarkByte, 3> alive = {marks.old(), marks.born(),
                                           marks.Found(kFreshMark)};
    std::vector<bool> live(block->cell_count);
    size_t allocated = 0;
    size_t expected_live = 0;
    bool any_young = false;
    for (size_t cell = 0; cell < block->cell_count; ++cell) {
      const bool is_allocated = random() % 4 != 0;
      // Any byte, for what is dead.
      auto mark = static_cast<MarkByte>(random() % 256);
      if (is_allocated) ReadyCells(*block, {cell, cell + 1}, kFreshMark);
      if (random() % 3 == 0) {
        mark = alive[random() % 3];
        block->Mark(cell, mark);
      } else {
        block->marks[cell] = mark;
      }
      live[cell] = is_allocated && marks.IsAlive(mark);
      allocated += is_allocated ? 1 : 0;
      expected_live += live[cell] ? 1 : 0;
      any_young |= live[cell] && mark != marks.old();
    }
    const auto number = static_cast<SweepNumber>(i);
    const SweepResult result = SweepBlock(*block, marks, number);
    ASSERT_EQ(result.live_objects, expected_live);
    ASSERT_EQ(result.freed_objects, allocated - expected_live);
    if (marks.generations()) {
      ASSERT_EQ(result.any_young, any_young);
    } else {
      ASSERT_FALSE(result.any_young);
    }
    ASSERT_EQ(block->swept_number, number);
    for (size_t cell = 0; cell < block->cell_count; ++cell) {
      ASSERT_EQ(block->IsAllocated(cell), live[cell]) << cell;
    }
    ClearAllocBits(*block, {0, block->cell_count});
  }
}

TEST_F(SweepTest, ABlockWhoseYoungObjectsDieIsFoundDeadWithoutALook) {
  BlockDescriptor* block = NewBlock<Leaf>();
  Marks marks = Marks(/*generations=*/true).Next(CollectionKind::kMajor);
  ReadyCells(*block, {0, 100}, marks.born());
  EXPECT_FALSE(IsDeadUnseen(*block, marks));
  EXPECT_EQ(SweepBlock(*block, marks, 2).live_objects, 100u);
  marks = marks.Next(CollectionKind::kMinor);
  if (!PoisonsFreedMemory()) {
    EXPECT_TRUE(IsDeadUnseen(*block, marks));
  }
  EXPECT_EQ(SweepBlock(*block, marks, 3).freed_objects, 100u);
}

TEST_F(SweepTest, ABlockInWhichNothingWasMarkedIsEmptyAfterwards) {
  BlockDescriptor* block = NewBlock<Leaf>();
  ReadyCells(*block, {0, block->cell_count}, kFreshMark);
  block->Mark(0, kMarks.old());
  const SweepResult result =
      SweepBlock(*block, kMarks.Next(CollectionKind::kMajor), 2);
  EXPECT_EQ(result.live_objects, 0u);
  EXPECT_EQ(result.freed_objects, block->cell_count);
  EXPECT_EQ(NextFreeRun(*block, 0).last, block->cell_count);
}

TEST_F(SweepTest, DestroysEachDeadObjectOnce) {
  BlockDescriptor* block = NewBlock<WithTracked>();
  Lifetimes lifetimes;
  for (size_t i = 0; i < 100; ++i) {
    Make<WithTracked>(block, i, lifetimes);
    if (i % 2 == 0) block->Mark(i, kMarks.old());
  }
  EXPECT_EQ(SweepBlock(*block, kMarks, 2).freed_objects, 50u);
  EXPECT_EQ(lifetimes.dead(), 50);
  EXPECT_EQ(SweepBlock(*block, kMarks, 2).freed_objects, 0u);
  EXPECT_EQ(lifetimes.dead(), 50);
  DestroyBlock(*block);
  EXPECT_EQ(lifetimes.dead(), 100);
  DestroyBlock(*block);
  EXPECT_EQ(lifetimes.dead(), 100);
}

TEST_F(SweepTest, EachCellOfAMixedBlockDiesAsItsOwnType) {
  const size_t size_class = kTypeInfo<WithTracked>.size_class;
  ASSERT_EQ(kTypeInfo<OtherTracked>.size_class, size_class);
  BlockDescriptor* block =
      cage_->AllocateMixed(SizeClassOf(size_class), 1).value();
  std::array<Lifetimes, 2> lifetimes;
  for (size_t i = 0; i < 300; i += 3) {
    Make<WithTracked>(block, i, lifetimes[0]);
    Make<OtherTracked>(block, i + 1, lifetimes[1]);
    Make<int64_t>(block, i + 2);
    if (i % 2 == 0) block->Mark(i, kMarks.old());
    if (i % 4 == 0) block->Mark(i + 1, kMarks.old());
  }
  const SweepResult result = SweepBlock(*block, kMarks, 2);
  EXPECT_EQ(result.live_objects, 75u);
  EXPECT_EQ(result.freed_objects, 225u);
  EXPECT_EQ(lifetimes[0].alive(), 50);
  EXPECT_EQ(lifetimes[1].alive(), 25);
  DestroyBlock(*block);
  EXPECT_EQ(lifetimes[0].alive(), 0);
  EXPECT_EQ(lifetimes[1].alive(), 0);
}

TEST_F(SweepTest, AnObjectOfManyBlocksDiesOnce) {
  struct Large {
    explicit Large(Lifetimes& lifetimes) : tracked(lifetimes) {}
    Tracked tracked;
    std::byte bytes[300000] = {};
  };
  BlockDescriptor* block =
      cage_->AllocateSpan(kTypeInfo<Large>, sizeof(Large), 1).value();
  Lifetimes lifetimes;
  Make<Large>(block, 0, lifetimes);
  block[block->run_blocks - 1].Mark(0, kMarks.old());
  EXPECT_EQ(SweepBlock(*block, kMarks, 2).live_objects, 1u);
  EXPECT_EQ(lifetimes.alive(), 1);
  EXPECT_EQ(
      SweepBlock(*block, kMarks.Next(CollectionKind::kMajor), 3).freed_objects,
      1u);
  EXPECT_EQ(lifetimes.alive(), 0);
  EXPECT_FALSE(block->IsAllocated(0));
}

struct Throwing {
  explicit Throwing(Lifetimes& lifetimes) : tracked(lifetimes) {}
  ~Throwing() noexcept(false) { throw std::runtime_error("no"); }
  int64_t payload = 0;
  Tracked tracked;
};

// The other objects', and what is left of this one.
TEST_F(SweepTest, ADestructorThatThrowsIsLoggedAndTheOthersRun) {
  BlockDescriptor* block = NewBlock<Throwing>();
  Lifetimes lifetimes;
  for (size_t i = 0; i < 3; ++i) Make<Throwing>(block, i, lifetimes);
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(log, Log(absl::LogSeverity::kError, _,
                       AllOf(HasSubstr("Throwing"), HasSubstr("dropped"))))
      .Times(3);
  log.StartCapturingLogs();
  EXPECT_EQ(SweepBlock(*block, kMarks, 2).freed_objects, 3u);
  EXPECT_EQ(lifetimes.alive(), 0);
}

TEST_F(SweepTest, AFreedObjectCannotBeReadAsDataInCheckedBuilds) {
  if (!PoisonsFreedMemory()) GTEST_SKIP() << "an unchecked build";
  BlockDescriptor* block = NewBlock<Leaf>();
  Leaf* leaf = Make<Leaf>(block, 0);
  leaf->words[0] = 42;
  SweepBlock(*block, kMarks, 2);
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile int64_t*>(leaf->words)),
               "use-after-poison");
#else
  EXPECT_EQ(static_cast<uint64_t>(leaf->words[0]), 0xD5D5D5D5D5D5D5D5u);
#endif
}

// A regression: a block that is not the first of its run remembered for as
// many epochs as there are to have told the first one that something in it
// lives.
TEST(Sweep, InALongRunAMarkOfLongAgoIsNotBelieved) {
  std::unique_ptr<Cage> cage = Cage::Create(Cage::kCapacity).value();
  const SizeClass& size_class =
      SizeClassOf(FindSizeClass(size_t{40} << 10, alignof(int64_t)));
  ASSERT_GT(size_class.blocks, 1);
  BlockDescriptor* block = cage->AllocateMixed(size_class, 1).value();
  for (const Marks& marks : {kMarks, kMarks}) {
    block->type_ids[1] = kTypeId<Leaf>;
    ReadyCells(*block, {1, 2}, kFreshMark);
    const std::byte* cell = Cage::StartOf(block) + block->cell_size;
    BlockDescriptor* of_cell = Cage::DescriptorOf(cell);
    ASSERT_NE(of_cell, block);
    of_cell->Mark(1, marks.old());
    EXPECT_EQ(SweepBlock(*block, marks, 2).live_objects, 1u);
    // Nothing lives in the next.
    EXPECT_EQ(
        SweepBlock(*block, marks.Next(CollectionKind::kMajor), 3).freed_objects,
        1u);
    block->marked_epoch = 0;
  }
}

}  // namespace
}  // namespace bibop
