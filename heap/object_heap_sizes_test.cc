// Objects of all sizes: where they lie, and that each is found again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/object_heap_fixture.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

struct Apple {
  int64_t word;
};
struct Pear {
  int64_t word;
};
struct Leaf {
  int64_t words[4];
};
struct Page {
  std::byte bytes[4096];
};
struct Medium {
  std::byte bytes[30000];
};
struct Huge {
  std::byte bytes[500000];
};

struct WithTracked {
  explicit WithTracked(Lifetimes& lifetimes) : tracked(lifetimes) {}
  Tracked tracked;
};

uintptr_t Word(const void* address) {
  return reinterpret_cast<uintptr_t>(address);
}

// ---- look-up ----

TEST_F(ObjectHeapTest, EveryByteOfAnObjectOfEverySizeClassFindsIt) {
  for (size_t number = 0; number < kNumSizeClasses; ++number) {
    const size_t size = SizeClassOf(number).cell_size;
    std::map<std::byte*, const TypeInfo*> objects;
    for (int i = 0; i < 3; ++i) {
      const bool apple = i % 2 == 0;
      void* object =
          (apple ? Allocate<Apple>(size) : Allocate<Pear>(size)).value();
      objects.insert({static_cast<std::byte*>(object),
                      apple ? &kTypeInfo<Apple> : &kTypeInfo<Pear>});
    }
    allocator_->Retire();
    for (const auto& [start, type] : objects) {
      size_t wrong = 0;
      for (size_t offset = 0; offset < size; ++offset) {
        const std::optional<ObjectRef> found =
            heap_->FindObject(Word(start + offset));
        wrong += found.has_value() && found->start == start &&
                         found->type == type && found->size == size
                     ? 0
                     : 1;
      }
      EXPECT_EQ(wrong, 0u) << size;
    }
  }
}

TEST_F(ObjectHeapTest, NoByteOfACellWithoutAnObjectFindsOne) {
  AllocateWhileRare<Leaf>();
  for (const bool mixed : {false, true}) {
    const size_t size = mixed ? 40 : sizeof(Leaf);
    auto* object = static_cast<std::byte*>(
        (mixed ? Allocate<Leaf>(size) : Allocate<Leaf>()).value());
    allocator_->Retire();
    const BlockDescriptor* block = Cage::DescriptorOf(object);
    const size_t cells = block->cell_count * size;
    for (size_t offset = size; offset < kBlockSize; ++offset) {
      ASSERT_FALSE(heap_->FindObject(Word(object + offset)).has_value())
          << offset << " of " << cells;
    }
    EXPECT_TRUE(heap_->FindObject(Word(object + size - 1)).has_value());
    EXPECT_FALSE(heap_->FindObject(Word(object - 1)).has_value());
  }
  EXPECT_FALSE(heap_->FindObject(0).has_value());
  EXPECT_FALSE(heap_->FindObject(~uintptr_t{0}).has_value());
}

TEST_F(ObjectHeapTest, AnyByteOfASpanFindsItsObjectUntilItIsFreed) {
  for (size_t size : {kMaxMediumSize + 1, 40 * kBlockSize - 8}) {
    auto* object = static_cast<std::byte*>(Allocate<Leaf>(size).value());
    const size_t offsets[] = {0,          1,        kBlockSize - 1,
                              kBlockSize, size / 2, size - 1};
    for (size_t offset : offsets) {
      const std::optional<ObjectRef> found =
          heap_->FindObject(Word(object + offset));
      ASSERT_TRUE(found.has_value()) << offset;
      EXPECT_EQ(found->start, object);
      EXPECT_EQ(found->type, &kTypeInfo<Leaf>);
      EXPECT_EQ(found->size, (size + 7) / 8 * 8);
    }
    EXPECT_FALSE(heap_->FindObject(Word(object + size + 7)).has_value());
    Collect({});
    heap_->FinishSweep();
    for (size_t offset : offsets) {
      EXPECT_FALSE(heap_->FindObject(Word(object + offset)).has_value());
    }
  }
}

TEST_F(ObjectHeapTest, ForEachObjectAndFindObjectSayWhatAModelSays) {
  struct Object {
    const TypeInfo* type;
    size_t size;
  };
  std::map<std::byte*, Object> model;
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): repeatable
  for (int cycle = 0; cycle < 6; ++cycle) {
    const auto add = [&model](absl::StatusOr<void*> object,
                              const TypeInfo& type, size_t size) {
      ASSERT_TRUE(object.ok()) << object.status();
      ASSERT_TRUE(
          model.insert({static_cast<std::byte*>(*object), {&type, size}})
              .second);
    };
    for (int i = 0; i < 3000; ++i) {
      const size_t extra = random() % 8 == 0 ? random() % 30000 : random() % 99;
      switch (random() % 8) {
        case 0:
          add(Allocate<Page>(), kTypeInfo<Page>, sizeof(Page));
          break;
        case 1:
          add(Allocate<Apple>(), kTypeInfo<Apple>, 16);
          break;
        case 2:
          add(Allocate<Apple>(8 + extra), kTypeInfo<Apple>, 8 + extra);
          break;
        case 3:
          add(Allocate<Pear>(8 + extra), kTypeInfo<Pear>, 8 + extra);
          break;
        case 4:
          if (random() % 50 != 0) break;
          add(Allocate<Huge>(), kTypeInfo<Huge>, sizeof(Huge));
          break;
        case 5:
          if (random() % 9 != 0) break;
          add(Allocate<Medium>(), kTypeInfo<Medium>, sizeof(Medium));
          break;
        default:
          add(Allocate<Leaf>(), kTypeInfo<Leaf>, sizeof(Leaf));
          break;
      }
    }
    std::vector<void*> live;
    for (auto at = model.begin(); at != model.end();) {
      if (random() % 2 == 0) {
        live.push_back(at->first);
        ++at;
      } else {
        at = model.erase(at);
      }
    }
    Collect(live);
    heap_->FinishSweep();
    std::map<std::byte*, ObjectRef> found;
    heap_->ForEachObject([&found](ObjectRef object) {
      EXPECT_TRUE(found.insert({object.start, object}).second);
    });
    ASSERT_EQ(found.size(), model.size());
    std::byte* end = nullptr;
    for (const auto& [start, object] : model) {
      const auto at = found.find(start);
      ASSERT_NE(at, found.end());
      ASSERT_EQ(at->second.type, object.type);
      ASSERT_GE(at->second.size, object.size);
      ASSERT_LE(at->second.size, object.size + object.size / 7 + 16);
      ASSERT_GE(start, end) << "objects overlap";
      end = start + at->second.size;
      const std::byte* inside = start + random() % object.size;
      ASSERT_EQ(heap_->FindObject(Word(inside))->start, start);
    }
  }
}

// ---- spans ----

class SpanTest : public ObjectHeapTest {
 protected:
  void* Span(size_t blocks) {
    return Allocate<Leaf>(blocks * kBlockSize).value();
  }

  // Frees all but `live`.
  void Free(const std::vector<void*>& live) {
    Collect(live);
    heap_->FinishSweep();
    heap_->CheckInvariants();
  }
};

TEST_F(SpanTest, TheShortestFreeRunThatIsLongEnoughServes) {
  void* longer = Span(20);
  void* guard = Span(8);
  void* shorter = Span(10);
  void* other_guard = Span(8);
  Free({guard, other_guard});
  EXPECT_EQ(Span(9), shorter);
  EXPECT_EQ(Span(9), longer);
  // What is left of it.
  EXPECT_EQ(Span(11), static_cast<std::byte*>(longer) + 9 * kBlockSize);
}

TEST_F(SpanTest, NeighboursThatAreFreeAreOneRun) {
  void* first = Span(9);
  void* second = Span(10);
  void* third = Span(11);
  void* guard = Span(8);
  Free({guard, second});
  Free({guard});
  EXPECT_EQ(Span(30), first);
  EXPECT_EQ(heap_->memory().in_use, 38 * kBlockSize);
  EXPECT_LT(second, third);
}

TEST_F(SpanTest, AFreedSpanServesBlocksOfOtherKinds) {
  void* span = Span(8);
  void* guard = Span(8);
  Free({guard});
  auto* page = static_cast<std::byte*>(Allocate<Page>(4096 + 8).value());
  EXPECT_EQ(page, span);
  const size_t medium =
      Cage::DescriptorOf(Allocate<Leaf>(45000).value())->run_blocks;
  EXPECT_EQ(heap_->memory().in_use, (8 + 1 + medium) * kBlockSize);
  EXPECT_EQ(heap_->memory().committed >> 20, size_t{4});
}

TEST_F(SpanTest, ADeadSpanIsDestroyedOnceAndALiveOneIsNot) {
  std::vector<void*> spans;
  for (int i = 0; i < 10; ++i) {
    spans.push_back(Allocate<WithTracked>(300000).value());
    new (spans.back()) WithTracked(lifetimes_);
  }
  spans.resize(4);
  Free(spans);
  EXPECT_EQ(lifetimes_.alive(), 4);
  Free(spans);
  EXPECT_EQ(lifetimes_.alive(), 4);
  DestroyHeap();
  EXPECT_EQ(lifetimes_.alive(), 0);
}

TEST_F(SpanTest, ASpanThatCannotBeIsAStatusAndChangesNothing) {
  void* object = Allocate<Leaf>().value();
  const size_t in_use = heap_->memory().in_use;
  const size_t committed = heap_->memory().committed;
  for (size_t size :
       {~size_t{0}, ~size_t{0} - 7, ~size_t{0} - kBlockSize, size_t{1} << 63,
        kCageSize, Cage::kCapacity + 1, Cage::kCapacity}) {
    EXPECT_EQ(Allocate<Leaf>(size).status().code(),
              absl::StatusCode::kResourceExhausted)
        << size;
    EXPECT_EQ(heap_->memory().in_use, in_use);
    EXPECT_EQ(heap_->memory().committed, committed);
  }
  EXPECT_EQ(Objects(), std::set<void*>({object}));
  EXPECT_EQ(heap_->allocated().objects, 1);
  heap_->CheckInvariants();
}

// ---- medium objects ----

TEST_F(ObjectHeapTest, MediumObjectsShareARunAndAFreedCellServesAgain) {
  const SizeClass& size_class = SizeClassOf(FindSizeClass(45000, 8));
  ASSERT_GT(size_class.blocks, 1);
  std::vector<void*> objects;
  for (int i = 0; i < size_class.cells; ++i) {
    objects.push_back(
        (i % 2 == 0 ? Allocate<Apple>(45000) : Allocate<Pear>(45000)).value());
  }
  EXPECT_EQ(heap_->memory().in_use, size_class.blocks * kBlockSize);
  void* dead = objects[1];
  objects.erase(objects.begin() + 1);
  Collect(objects);
  EXPECT_EQ(Allocate<Apple>(45000).value(), dead);
  EXPECT_EQ(heap_->memory().in_use, size_class.blocks * kBlockSize);
  Collect({});
  heap_->FinishSweep();
  EXPECT_EQ(heap_->memory().in_use, 0u);
}

}  // namespace
}  // namespace bibop
