#include "bibop/handles/array.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::bibop::testing::Lifetimes;
using ::bibop::testing::Tracked;

class ArrayTest : public ::testing::Test {
 protected:
  // Sweeps after a mark that found nothing alive.
  void LetAllDie() {
    heap_->FinishSweep();
    mutator_.allocator().Retire();
    heap_->BeginMark();
    heap_->FinishMark();
    heap_->EndClearing();
    heap_->StartSweep();
    heap_->FinishSweep();
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(size_t{256} << 20).value();
  TestMutator mutator_{*heap_};
};

TEST_F(ArrayTest, ElementsStartAsZeroAndKeepWhatIsStored) {
  HandleScope scope(mutator_);
  for (const size_t size : {0, 1, 2, 7, 100, 511, 4000, 30000, 500000}) {
    const Handle<Array<double>> array = scope.NewArray<double>(size);
    ASSERT_EQ(array->size(), size);
    EXPECT_EQ(array->empty(), size == 0);
    for (const double element : *array) ASSERT_EQ(element, 0.0);
    std::iota(array->begin(), array->end(), 1.0);
    EXPECT_EQ(array->span().size(), size);
    if (size == 0) continue;
    EXPECT_EQ((*array)[size - 1], static_cast<double>(size));
  }
}

TEST_F(ArrayTest, AnIndexBeyondTheEndIsTold) {
  HandleScope scope(mutator_);
  const Handle<Array<int>> array = scope.NewArray<int>(3);
  EXPECT_DEATH((*array)[3] = 1, "beyond the end of an Array");
}

TEST_F(ArrayTest, ElementsOfEveryAlignmentAreAligned) {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  struct alignas(4096) Page {
    std::byte bytes[4096];
  };
  HandleScope scope(mutator_);
  for (const size_t size : {1, 3, 40}) {
    const auto lines = scope.NewArray<Line>(size);
    const auto pages = scope.NewArray<Page>(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(lines->data()) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(pages->data()) % 4096, 0u);
  }
}

TEST_F(ArrayTest, AbsurdSizesAreStatuses) {
  HandleScope scope(mutator_);
  constexpr size_t kMax = std::numeric_limits<size_t>::max();
  for (const size_t size : {kMax, kMax / 8, kMax / 8 + 1, kMax / 16}) {
    const absl::Status status = scope.TryNewArray<double>(size).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << size;
  }
  EXPECT_EQ(scope.TryNewArray<double>(kMax / 64).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(scope.TryNewWithExtraBytes<int>(kMax).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(mutator_.handles().size(), 0u);
  EXPECT_EQ(heap_->memory().in_use, 0u);
  EXPECT_DEATH(scope.NewArray<double>(kMax), "larger than an object can be");
}

// Arrays of any size class, of medium runs and of spans.
TEST_F(ArrayTest, ElementsAreDestroyedOnceWithTheArray) {
  struct Element {
    std::unique_ptr<Tracked> tracked;
  };
  Lifetimes lifetimes;
  for (const size_t size : {0, 1, 30, 600, 4000, 100000}) {
    {
      HandleScope scope(mutator_);
      const auto array = scope.NewArray<Element>(size);
      for (Element& element : *array) {
        element.tracked = std::make_unique<Tracked>(lifetimes);
      }
    }
    EXPECT_EQ(lifetimes.alive(), static_cast<int>(size));
    LetAllDie();
    EXPECT_EQ(lifetimes.alive(), 0);
  }
  EXPECT_EQ(lifetimes.born(), 104631);
  EXPECT_EQ(lifetimes.dead(), 104631);
}

struct ThrowsOnTheHundredth {
  static inline Lifetimes* lifetimes;
  ThrowsOnTheHundredth() : tracked(*lifetimes) {
    if (lifetimes->born() == 100) throw std::runtime_error("enough");
  }
  Tracked tracked;
};

TEST_F(ArrayTest, AnElementWhoseConstructorThrowsLeavesNothingBehind) {
  Lifetimes lifetimes;
  ThrowsOnTheHundredth::lifetimes = &lifetimes;
  HandleScope scope(mutator_);
  EXPECT_THROW(scope.NewArray<ThrowsOnTheHundredth>(1000), std::runtime_error);
  EXPECT_EQ(lifetimes.alive(), 0);
  EXPECT_EQ(mutator_.handles().size(), 0u);
  LetAllDie();
  EXPECT_EQ(lifetimes.dead(), 100);
  heap_->ForEachObject([](ObjectRef) { FAIL() << "an object is left"; });
}

struct Text {
  explicit Text(size_t n) : length(n) {}
  char* characters() { return reinterpret_cast<char*>(this + 1); }
  size_t length;
};

TEST_F(ArrayTest, ExtraBytesFollowTheObject) {
  HandleScope scope(mutator_);
  for (const size_t length : {0, 1, 9, 1000, 5000, 70000, 300000}) {
    const Handle<Text> text = scope.NewWithExtraBytes<Text>(length, length);
    std::fill_n(text->characters(), length, 'x');
    const auto found = heap_->FindObject(
        reinterpret_cast<uintptr_t>(text->characters() + length) - 1);
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(static_cast<void*>(found->start), text.get());
    EXPECT_EQ(found->type, &kTypeInfo<Text>);
    EXPECT_GE(found->size, sizeof(Text) + length);
  }
}

struct Traced {
  void Trace(auto& visitor) const { visitor(); }
};
static_assert(!internal::Traceable<Array<double>>, "a leaf");
static_assert(!internal::Traceable<Array<std::array<int, 3>>>);
static_assert(internal::Traceable<Array<Traced>>);
static_assert(internal::Traceable<Array<std::array<Traced, 3>>>);
static_assert(std::is_trivially_destructible_v<Array<double>>);
static_assert(!std::is_trivially_destructible_v<Array<std::string>>);
static_assert(kTypeInfo<Array<std::byte>>.size == 8);

}  // namespace
}  // namespace bibop
