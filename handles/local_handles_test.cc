#include "bibop/handles/local_handles.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <variant>
#include <vector>

#include "absl/base/config.h"
#include "bibop/base/build_config.h"
#include "bibop/base/poison.h"
#include "bibop/handles/test_mutator.h"
#include "gtest/gtest.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

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
// and of seals, against a model.
TEST(LocalHandles, TheRootsAreThoseOfAModel) {
  // What is open: a scope or a seal, and the size of the model before.
  struct Open {
    std::variant<LocalHandles::Mark, LocalHandles::Seal> what;
    size_t size;
    bool is_seal() const {
      return std::holds_alternative<LocalHandles::Seal>(what);
    }
  };
  std::mt19937 random(3);  // NOLINT(cert-msc51-cpp): repeatable
  LocalHandles handles;
  std::vector<Open> open;
  std::vector<const void*> model;
  const auto close = [&] {
    if (open.back().is_seal()) {
      handles.Unseal(std::get<LocalHandles::Seal>(open.back().what));
      ASSERT_EQ(model.size(), open.back().size);
    } else {
      handles.CloseScope(std::get<LocalHandles::Mark>(open.back().what));
      model.resize(open.back().size);
    }
    open.pop_back();
  };
  for (int step = 0; step < 20000; ++step) {
    const size_t choice = random() % 9;
    if (choice < 3 || open.empty()) {
      open.push_back({handles.OpenScope(), model.size()});
    } else if (choice < 6 || model.size() > 20 * kBlock) {
      close();
    } else if (choice == 6) {
      if (kSealedScopes) open.push_back({handles.SealScope(), model.size()});
    } else if (!open.back().is_seal()) {
      const size_t count =
          choice == 7 ? random() % 5 : kBlock - 2 + random() % 5;
      for (size_t i = 0; i < count; ++i) {
        model.push_back(Address(random() % 100));
        handles.Create(SlotValue(model.back()));
      }
    }
    if (random() % 20 == 0) handles.FreeSpares();
    ASSERT_EQ(handles.size(), model.size());
    if (step % 50 == 0) {
      ASSERT_EQ(RootCollector(handles).roots,
                std::multiset<const void*>(model.begin(), model.end()));
    }
  }
  while (!open.empty()) close();
  EXPECT_EQ(handles.size(), 0u);
}

// Whether a look at the slot is noticed: by AddressSanitizer, or because it
// holds no address.
bool IsPoisoned(const HandleSlot* slot) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  return __asan_address_is_poisoned(slot) != 0;
#else
  HandleSlot zapped;
  std::memset(&zapped, kZapByte, sizeof(zapped));
  return *slot == zapped;
#endif
}

TEST(LocalHandles, SlotsAreOfNoUseAfterTheirScope) {
  if (!kCheckedHandles) GTEST_SKIP() << "an unchecked build";
  LocalHandles handles;
  const LocalHandles::Mark outer = handles.OpenScope();
  HandleSlot* const kept = handles.Create(SlotValue(Address(1)));
  std::vector<HandleSlot*> closed;
  const LocalHandles::Mark inner = handles.OpenScope();
  for (size_t i = 0; i < 2 * kBlock + 5; ++i) {
    closed.push_back(handles.Create(SlotValue(Address(2))));
    ASSERT_FALSE(IsPoisoned(closed.back()));
  }
  handles.CloseScope(inner);
  EXPECT_FALSE(IsPoisoned(kept));
  for (const HandleSlot* slot : closed) ASSERT_TRUE(IsPoisoned(slot));
  EXPECT_EQ(handles.Create(SlotValue(Address(3))), closed.front());
  EXPECT_FALSE(IsPoisoned(closed.front()));
  handles.Discard(closed.front());
  EXPECT_TRUE(IsPoisoned(closed.front()));
  handles.CloseScope(outer);
  EXPECT_TRUE(IsPoisoned(kept));
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
