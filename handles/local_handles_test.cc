#include "bibop/handles/local_handles.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "bibop/base/build_config.h"
#include "bibop/handles/test_mutator.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kBlock = LocalHandles::kBlockSlots;

// An address to put into a slot; nobody follows it.
const void* Address(size_t n) {
  return reinterpret_cast<const void*>(uintptr_t{0x1000} + 8 * n);
}

TEST(LocalHandles, SlotsAreRootsUntilTheirScopeCloses) {
  LocalHandles handles;
  const LocalHandles::Mark outer = handles.OpenScope();
  handles.Create(SlotValue(Address(1)));
  const LocalHandles::Mark inner = handles.OpenScope();
  handles.Create(SlotValue(Address(2)));
  EXPECT_EQ(RootCollector(handles).roots,
            std::multiset<const void*>({Address(1), Address(2)}));
  handles.CloseScope(inner);
  EXPECT_EQ(RootCollector(handles).roots,
            std::multiset<const void*>({Address(1)}));
  handles.CloseScope(outer);
  EXPECT_TRUE(RootCollector(handles).roots.empty());
}

TEST(LocalHandles, EmptySlotsAreNoRoots) {
  LocalHandles handles;
  const LocalHandles::Mark scope = handles.OpenScope();
  HandleSlot* slot = handles.Create(0);
  EXPECT_TRUE(RootCollector(handles).roots.empty());
  *slot = SlotValue(Address(1));
  EXPECT_EQ(RootCollector(handles).roots.size(), 1u);
  handles.CloseScope(scope);
}

TEST(LocalHandles, ObjectsInConstructionAreShownApart) {
  LocalHandles handles;
  const LocalHandles::Mark scope = handles.OpenScope();
  handles.Create(SlotValue(Address(1)));
  handles.Create(SlotValue(Address(2)) | kInConstruction);
  const RootCollector roots(handles);
  EXPECT_EQ(roots.roots, std::multiset<const void*>({Address(1)}));
  EXPECT_EQ(roots.in_construction, std::multiset<const void*>({Address(2)}));
  handles.CloseScope(scope);
}

TEST(LocalHandles, DiscardTakesBackTheLastSlotAndEmptiesAnother) {
  LocalHandles handles;
  const LocalHandles::Mark scope = handles.OpenScope();
  HandleSlot* first = handles.Create(SlotValue(Address(1)));
  HandleSlot* second = handles.Create(SlotValue(Address(2)));
  handles.Discard(first);
  EXPECT_EQ(handles.size(), 2u);
  EXPECT_EQ(RootCollector(handles).roots,
            std::multiset<const void*>({Address(2)}));
  handles.Discard(second);
  EXPECT_EQ(handles.size(), 1u);
  handles.CloseScope(scope);
}

// Random nesting of scopes of all sizes, around the size of a block above all,
// against a model.
TEST(LocalHandles, TheRootsAreThoseOfAModel) {
  std::mt19937 random(3);  // NOLINT(cert-msc51-cpp): repeatable
  LocalHandles handles;
  std::vector<LocalHandles::Mark> marks;
  std::vector<size_t> sizes;  // of the model when each scope opened
  std::vector<const void*> model;
  for (int step = 0; step < 20000; ++step) {
    const size_t choice = random() % 8;
    if (choice < 3 || marks.empty()) {
      marks.push_back(handles.OpenScope());
      sizes.push_back(model.size());
    } else if (choice < 6 || model.size() > 20 * kBlock) {
      handles.CloseScope(marks.back());
      marks.pop_back();
      model.resize(sizes.back());
      sizes.pop_back();
    } else {
      const size_t count =
          choice == 6 ? random() % 5 : kBlock - 2 + random() % 5;
      for (size_t i = 0; i < count; ++i) {
        model.push_back(Address(random() % 100));
        handles.Create(SlotValue(model.back()));
      }
    }
    ASSERT_EQ(handles.size(), model.size());
    if (step % 50 == 0) {
      ASSERT_EQ(RootCollector(handles).roots,
                std::multiset<const void*>(model.begin(), model.end()));
    }
  }
  for (; !marks.empty(); marks.pop_back()) handles.CloseScope(marks.back());
  EXPECT_EQ(handles.size(), 0u);
}

TEST(LocalHandles, ALongChainOfBlocksIsDestroyed) {
  auto handles = std::make_unique<LocalHandles>();
  const LocalHandles::Mark scope = handles->OpenScope();
  for (size_t i = 0; i < 2000 * kBlock; ++i) handles->Create(0);
  handles->CloseScope(scope);
}

TEST(LocalHandlesDeathTest, LeavingWithAScopeOpenIsTold) {
  EXPECT_DEATH(
      {
        LocalHandles handles;
        handles.OpenScope();
        handles.Create(SlotValue(Address(1)));
      },
      "inside of a HandleScope");
}

class SealTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kSealedScopes) GTEST_SKIP() << "a build without --//:sealed_scopes";
  }

  LocalHandles handles_;
};

TEST_F(SealTest, NoSlotIsCreatedUnderASeal) {
  const LocalHandles::Mark scope = handles_.OpenScope();
  handles_.Create(0);
  const LocalHandles::Seal seal = handles_.SealScope();
  EXPECT_DEATH(handles_.Create(0), "SealedHandleScope");
  handles_.Unseal(seal);
  handles_.Create(0);
  EXPECT_EQ(handles_.size(), 2u);
  handles_.CloseScope(scope);
}

TEST_F(SealTest, AScopeInsideOfASealMayCreateSlots) {
  const LocalHandles::Mark scope = handles_.OpenScope();
  for (size_t before : {size_t{1}, kBlock - 1, kBlock, kBlock + 1}) {
    const LocalHandles::Mark filled = handles_.OpenScope();
    for (size_t i = 0; i < before; ++i) handles_.Create(0);
    const LocalHandles::Seal seal = handles_.SealScope();
    for (int round = 0; round < 3; ++round) {
      const LocalHandles::Mark inner = handles_.OpenScope();
      for (size_t i = 0; i < 3 * kBlock; ++i) handles_.Create(0);
      EXPECT_EQ(handles_.size(), before + 3 * kBlock);
      handles_.CloseScope(inner);
    }
    EXPECT_DEATH(handles_.Create(0), "SealedHandleScope");
    handles_.Unseal(seal);
    handles_.Create(0);
    EXPECT_EQ(handles_.size(), before + 1);
    handles_.CloseScope(filled);
  }
  handles_.CloseScope(scope);
}

}  // namespace
}  // namespace bibop
