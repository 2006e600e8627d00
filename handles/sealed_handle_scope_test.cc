#include "bibop/handles/sealed_handle_scope.h"

#include <memory>
#include <type_traits>

#include "bibop/base/build_config.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/object_heap.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

class SealedHandleScopeTest : public ::testing::Test {
 protected:
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  TestMutator mutator_{*heap_};
};

TEST_F(SealedHandleScopeTest, CreatingAHandleUnderItAbortsWhereItIsChecked) {
  HandleScope scope(mutator_);
  if (kSealedScopes) {
    EXPECT_DEATH(
        {
          SealedHandleScope sealed(mutator_);
          scope.New<int>(1);
        },
        "created under a SealedHandleScope");
  } else {
    static_assert(kSealedScopes || std::is_empty_v<SealedHandleScope>);
    SealedHandleScope sealed(mutator_);
    EXPECT_EQ(*scope.New<int>(1), 1);
  }
}

TEST_F(SealedHandleScopeTest, AScopeInsideOfItMayCreateHandles) {
  HandleScope scope(mutator_);
  {
    SealedHandleScope sealed(mutator_);
    HandleScope inner(mutator_);
    EXPECT_EQ(*inner.New<int>(1), 1);
  }
  EXPECT_EQ(*scope.New<int>(2), 2) << "the seal ends with its scope";
}

TEST_F(SealedHandleScopeTest, SealsNest) {
  HandleScope scope(mutator_);
  SealedHandleScope sealed(mutator_);
  {
    HandleScope inner(mutator_);
    SealedHandleScope sealed_again(mutator_);
    if (kSealedScopes) {
      EXPECT_DEATH(inner.New<int>(1), "created under a SealedHandleScope");
    }
  }
  if (kSealedScopes) {
    EXPECT_DEATH(scope.New<int>(1), "created under a SealedHandleScope");
  }
}

}  // namespace
}  // namespace bibop
