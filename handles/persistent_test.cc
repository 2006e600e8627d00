#include "bibop/handles/persistent.h"

#include <memory>

#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/root_slots.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

class PersistentTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  RootSlotPool::Owner roots_ = RootSlotPool::Create();
  TestMutator mutator_{*heap_, *roots_};
};

TEST_F(PersistentTest, IsARootAsLongAsItRefersToAnObject) {
  HandleScope scope(mutator_);
  const Handle<int> number = scope.New<int>(7);
  Persistent<int> persistent(mutator_, number);
  EXPECT_EQ(RootCollector(*roots_).roots.count(number.get()), 1u);
  EXPECT_EQ(*persistent, 7);
  persistent.Reset();
  EXPECT_TRUE(RootCollector(*roots_).roots.empty());
}

}  // namespace
}  // namespace bibop
