#include "bibop/base/stack.h"

#include <memory>
#include <thread>

#include "absl/base/attributes.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

int global = 0;

ABSL_ATTRIBUTE_NOINLINE bool CallersVariable(const int& variable) {
  return MayBeOnStack(&variable);
}

TEST(StackTest, VariablesOfTheFunctionAndOfItsCallersAreOnIt) {
  const int local = 1;
  EXPECT_TRUE(MayBeOnStack(&local));
  EXPECT_TRUE(CallersVariable(local));
}

TEST(StackTest, GlobalsAndAllocatedMemoryAreNot) {
  const auto allocated = std::make_unique<int>(1);
  thread_local int of_thread = 1;
  EXPECT_FALSE(MayBeOnStack(&global));
  EXPECT_FALSE(MayBeOnStack(allocated.get()));
  EXPECT_FALSE(MayBeOnStack(&of_thread));
}

TEST(StackTest, ThreadLocalsOfAThreadWhoseStackHoldsThemAreNot) {
  std::thread other([] {
    thread_local int of_thread = 1;
    const int local = 1;
    EXPECT_FALSE(MayBeOnStack(&of_thread));
    EXPECT_TRUE(MayBeOnStack(&local));
  });
  other.join();
}

TEST(StackTest, AnotherThreadsVariablesAreNot) {
  const int local = 1;
  std::thread other([&local] {
    const int its_own = 1;
    EXPECT_TRUE(MayBeOnStack(&its_own));
    EXPECT_FALSE(MayBeOnStack(&local));
  });
  other.join();
}

}  // namespace
}  // namespace bibop
