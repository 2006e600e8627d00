#include "bibop/base/stack_snapshot.h"

#include <cstdint>
#include <set>
#include <string>
#include <thread>

#include "absl/base/attributes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::testing::HasSubstr;

// A number that only this makes: nobody's copy of it is on the stack.
ABSL_ATTRIBUTE_NOINLINE uintptr_t Hidden(uintptr_t number) {
  volatile uintptr_t factor = 0x9E3779B97F4A7C15;
  return number * factor;
}

// The functions in whose frames `value` is.
std::set<std::string> FunctionsWith(const StackSnapshot& snapshot,
                                    uintptr_t number) {
  std::set<std::string> functions;
  const uintptr_t value = Hidden(number);
  snapshot.ForEachWord([&](StackSnapshot::Word word) {
    if (word.value == value) functions.insert(snapshot.FunctionOf(word));
  });
  return functions;
}

ABSL_ATTRIBUTE_NOINLINE void HasItInItsFrame() {
  volatile uintptr_t value = Hidden(7);
  StackSnapshot snapshot;
  snapshot.Take();
  EXPECT_THAT(FunctionsWith(snapshot, 7),
              ::testing::Contains(HasSubstr("HasItInItsFrame")));
  EXPECT_THAT(FunctionsWith(snapshot, 8), ::testing::IsEmpty());
  EXPECT_NE(value, uintptr_t{7});
}

TEST(StackSnapshotTest, AWordIsFoundInTheFrameOfItsFunction) {
  HasItInItsFrame();
}

ABSL_ATTRIBUTE_NOINLINE bool HasItInRegisters(StackSnapshot& snapshot,
                                              uintptr_t number) {
  // More than callee-saved registers; what does not fit is on the stack.
  const uintptr_t a = Hidden(number);
  snapshot.Take();
  bool found = false;
  snapshot.ForEachWord(
      [&found, a](StackSnapshot::Word word) { found |= word.value == a; });
  return found;
}

TEST(StackSnapshotTest, AWordIsFoundWhereverTheCompilerKeepsIt) {
  StackSnapshot snapshot;
  EXPECT_TRUE(HasItInRegisters(snapshot, 9));
}

TEST(StackSnapshotTest, AnotherThreadsWordsAreSeen) {
  StackSnapshot snapshot;
  std::thread other([&snapshot] {
    volatile uintptr_t value = Hidden(11);
    snapshot.Take();
    std::thread reader([&snapshot] {
      EXPECT_THAT(FunctionsWith(snapshot, 11),
                  ::testing::Not(::testing::IsEmpty()));
    });
    reader.join();
    EXPECT_NE(value, uintptr_t{11});
  });
  other.join();
  EXPECT_NE(snapshot.thread_id(), 0);
}

TEST(StackSnapshotTest, OneThatWasNotTakenHasNoWords) {
  const StackSnapshot snapshot;
  snapshot.ForEachWord([](StackSnapshot::Word) { ADD_FAILURE(); });
}

}  // namespace
}  // namespace bibop
