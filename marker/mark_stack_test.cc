#include "bibop/marker/mark_stack.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "absl/base/config.h"
#include "bibop/base/resident_memory.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

const void* Pointer(size_t number) {
  return reinterpret_cast<const void*>(uintptr_t{number} * 8);
}

std::vector<const void*> TakeAll(MarkStack& stack) {
  std::vector<const void*> all;
  while (!stack.empty()) {
    const std::span<const void* const> some = stack.Take(1);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

TEST(MarkStackTest, GivesBackWhatWasPushedLastFirst) {
  MarkStack stack;
  EXPECT_TRUE(stack.empty());
  constexpr size_t kCount = 1'000'000;
  for (size_t i = 1; i <= kCount; ++i) stack.Push(Pointer(i));
  for (size_t i = kCount; i > 0; --i) {
    ASSERT_FALSE(stack.empty());
    const std::span<const void* const> taken = stack.Take(1);
    ASSERT_EQ(taken.size(), 1u);
    ASSERT_EQ(taken[0], Pointer(i));
  }
  EXPECT_TRUE(stack.empty());
}

TEST(MarkStackTest, KeepsNoNull) {
  MarkStack stack;
  stack.Push(nullptr);
  EXPECT_TRUE(stack.empty());
  const void** top = stack.Reserve(3);
  MarkStack::PushAt(top, nullptr);
  MarkStack::PushAt(top, Pointer(1));
  MarkStack::PushAt(top, nullptr);
  stack.Commit(top);
  EXPECT_EQ(TakeAll(stack), std::vector{Pointer(1)});
}

// Whatever is pushed and taken in whatever order comes out once.
TEST(MarkStackTest, LosesNothingAndGivesNothingTwice) {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): repeatable
  MarkStack stack;
  size_t pushed = 0;
  std::vector<const void*> taken;
  for (int round = 0; round < 20'000; ++round) {
    // It grows for a while, then it shrinks.
    const bool grows = round / 4000 % 2 == 0;
    const size_t count = random() % (MarkStack::kMostReserved + 1);
    if (grows || random() % 4 == 0) {
      const void** top = stack.Reserve(count);
      for (size_t i = 0; i < count; ++i) {
        MarkStack::PushAt(top, Pointer(++pushed));
      }
      stack.Commit(top);
    }
    if (!grows && !stack.empty()) {
      const std::span<const void* const> some = stack.Take(128);
      ASSERT_GE(some.size(), 1u);
      ASSERT_LE(some.size(), 128u);
      taken.insert(taken.end(), some.begin(), some.end());
    }
    if (random() % 16 == 0) {
      const std::vector<const void*> lower = stack.TakeLower(random() % 200);
      taken.insert(taken.end(), lower.begin(), lower.end());
    }
  }
  const std::vector<const void*> rest = TakeAll(stack);
  taken.insert(taken.end(), rest.begin(), rest.end());
  std::ranges::sort(taken);
  ASSERT_EQ(taken.size(), pushed);
  for (size_t i = 0; i < pushed; ++i) ASSERT_EQ(taken[i], Pointer(i + 1));
}

TEST(MarkStackTest, GivesAwayTheLowerPart) {
  MarkStack stack;
  for (size_t i = 1; i <= 100; ++i) stack.Push(Pointer(i));
  std::vector<const void*> lower = stack.TakeLower(4096);
  std::ranges::sort(lower);
  ASSERT_EQ(lower.size(), 50u);
  EXPECT_EQ(lower.back(), Pointer(50));
  EXPECT_EQ(TakeAll(stack).size(), 50u);
  for (size_t i = 1; i <= 1'000'000; ++i) stack.Push(Pointer(i));
  lower = stack.TakeLower(100);
  ASSERT_EQ(lower.size(), 100u);
  EXPECT_LT(*std::ranges::max_element(lower), Pointer(10'000));
}

TEST(MarkStackTest, GivesAwayNothingOfAFew) {
  MarkStack stack;
  stack.Push(Pointer(1));
  EXPECT_TRUE(stack.TakeLower(4096).empty());
  EXPECT_EQ(TakeAll(stack), std::vector{Pointer(1)});
}

// A marker that others take from all the time fills a segment again and again.
TEST(MarkStackTest, UsesAgainWhatWasTakenFromBelow) {
  MarkStack stack;
  size_t in_it = 0;
  const int64_t before = ResidentBytes();
  for (size_t i = 1; i <= 20'000'000; ++i) {
    stack.Push(Pointer(i));
    if (++in_it >= 100) in_it -= stack.TakeLower(4096).size();
  }
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  // It keeps what was freed.
  constexpr int64_t kMost = int64_t{512} << 20;
#else
  constexpr int64_t kMost = int64_t{16} << 20;
#endif
  EXPECT_LT(ResidentBytes() - before, kMost);
  EXPECT_EQ(TakeAll(stack).size(), in_it);
}

}  // namespace
}  // namespace bibop
