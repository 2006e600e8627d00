#include "bibop/handles/local_handles.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <source_location>
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

struct ParkedStretch {};
struct RunningStretch {};
// What is open, and the size of the model before.
struct Open {
  std::variant<LocalHandles::Mark, LocalHandles::Seal, ParkedStretch,
               RunningStretch>
      what;
  size_t size;
  template <class T>
  bool Is() const {
    return std::holds_alternative<T>(what);
  }
};

// Random nesting of scopes of all sizes, around the size of a block above all,
// of seals, and of parks and stretches in which the parked thread runs, against
// a model.
TEST(LocalHandles, TheRootsAreThoseOfAModel) {
  std::mt19937 random(3);  // NOLINT(cert-msc51-cpp): repeatable
  LocalHandles handles;
  std::vector<Open> open;
  std::vector<const void*> model;
  const auto close = [&] {
    const Open& last = open.back();
    if (last.Is<LocalHandles::Mark>()) {
      handles.CloseScope(std::get<LocalHandles::Mark>(last.what));
      model.resize(last.size);
    } else if (last.Is<LocalHandles::Seal>()) {
      handles.Unseal(std::get<LocalHandles::Seal>(last.what));
    } else if (last.Is<ParkedStretch>()) {
      handles.Unpark();
    } else {
      // What was created in the stretch without a scope stays.
      handles.Park();
    }
    ASSERT_GE(model.size(), last.size);
    open.pop_back();
  };
  for (int step = 0; step < 20000; ++step) {
    const size_t choice = random() % 12;
    if (!open.empty() && open.back().Is<ParkedStretch>()) {
      if (choice < 6 || model.size() > 20 * kBlock) {
        close();
      } else {
        handles.Unpark();
        open.push_back({RunningStretch(), model.size()});
      }
    } else if (choice < 3 || open.empty()) {
      open.push_back({handles.OpenScope(), model.size()});
    } else if (choice < 8 || model.size() > 20 * kBlock) {
      close();
    } else if (choice == 8) {
      handles.Park();
      open.push_back({ParkedStretch(), model.size()});
    } else if (choice == 9) {
      if (kSealedScopes) open.push_back({handles.SealScope(), model.size()});
    } else if (open.back().Is<LocalHandles::Mark>()) {
      const size_t count =
          choice == 10 ? random() % 5 : kBlock - 2 + random() % 5;
      for (size_t i = 0; i < count; ++i) {
        model.push_back(Address(random() % 100));
        handles.Create(SlotValue(model.back()));
      }
    }
    if (random() % 20 == 0) handles.FreeSpares();
    if (random() % 1000 == 0 && !open.empty() &&
        open.back().Is<ParkedStretch>()) {
      ASSERT_DEATH(handles.Create(0), "by a parked thread");
    }
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

TEST(LocalHandlesDeathTest, AParkedThreadCreatesNoSlot) {
  LocalHandles handles;
  const LocalHandles::Mark scope = handles.OpenScope();
  // In a full block and in others.
  for (const size_t count : {size_t{1}, kBlock - 1, kBlock, kBlock + 1}) {
    const LocalHandles::Mark filled = handles.OpenScope();
    for (size_t i = 0; i < count; ++i) handles.Create(SlotValue(Address(i)));
    // One that a store may use again.
    handles.ReserveForStore();
    handles.RootStore(Address(count));
    handles.ReleaseStore(Address(count));
    handles.Park();
    EXPECT_EQ(handles.size(), count + 1);
    EXPECT_EQ(RootCollector(handles).roots.size(), count);
    EXPECT_DEATH(handles.Reserve(), "a handle is created.* by a parked thread");
    EXPECT_DEATH(handles.Create(0), "a handle is created.* by a parked thread");
    EXPECT_DEATH(handles.ReserveForStore(), "by a parked thread");
    handles.Unpark();
    handles.Create(0);
    EXPECT_EQ(handles.size(), count + 2);
    handles.CloseScope(filled);
  }
  handles.CloseScope(scope);
}

TEST(LocalHandlesDeathTest, AParkedThreadOpensNoScope) {
  LocalHandles handles;
  handles.Park();
  EXPECT_DEATH(handles.OpenScope(),
               "a HandleScope was opened by a parked thread, at "
               ".*local_handles_test.cc:[0-9]+ in [^,]*: open it");
  const auto task = std::source_location::current();
  EXPECT_EQ(handles.SetTask(&task), nullptr);
  EXPECT_DEATH(handles.OpenScope(),
               "at .*local_handles_test.cc:.*, in a task that was made at "
               ".*local_handles_test.cc:[0-9]+: open it");
  EXPECT_DEATH(handles.Create(0), "in a task that was made at ");
  EXPECT_EQ(handles.SetTask(nullptr), &task);
  if (kSealedScopes) {
    EXPECT_DEATH(handles.SealScope(), "by a parked thread");
  }
  handles.Unpark();
  handles.CloseScope(handles.OpenScope());
}

// Until then the parked thread may create handles again, beside a marker.
TEST(LocalHandlesDeathTest, AScopeThatAParkedThreadClosesIsTold) {
  LocalHandles handles;
  const LocalHandles::Mark outer = handles.OpenScope();
  handles.Create(SlotValue(Address(1)));
  const LocalHandles::Mark inner = handles.OpenScope();
  handles.Create(SlotValue(Address(2)));
  handles.Park();
  EXPECT_DEATH(
      {
        handles.CloseScope(inner);
        handles.Unpark();
      },
      "closed while its thread was parked|used by a parked thread");
  handles.Unpark();
  handles.CloseScope(inner);
  handles.CloseScope(outer);
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

TEST_F(SealTest, ASealAndAParkMayBeInsideOfEachOther) {
  const LocalHandles::Mark scope = handles_.OpenScope();
  handles_.Create(0);
  const LocalHandles::Seal seal = handles_.SealScope();
  handles_.Park();
  EXPECT_EQ(handles_.size(), 1u);
  EXPECT_DEATH(handles_.Create(0), "by a parked thread");
  handles_.Unpark();
  EXPECT_DEATH(handles_.Create(0), "SealedHandleScope");
  const LocalHandles::Mark inner = handles_.OpenScope();
  handles_.Park();
  EXPECT_EQ(handles_.size(), 1u);
  handles_.Unpark();
  handles_.Create(0);
  handles_.Park();
  EXPECT_EQ(handles_.size(), 2u);
  // A guard in which a seal is.
  handles_.Unpark();
  const LocalHandles::Mark guard = handles_.OpenScope();
  handles_.Create(0);
  const LocalHandles::Seal second = handles_.SealScope();
  EXPECT_EQ(handles_.size(), 3u);
  handles_.Unseal(second);
  handles_.CloseScope(guard);
  handles_.Park();
  EXPECT_EQ(handles_.size(), 2u);
  handles_.Unpark();
  handles_.CloseScope(inner);
  EXPECT_DEATH(handles_.Create(0), "SealedHandleScope");
  handles_.Unseal(seal);
  handles_.Create(0);
  EXPECT_EQ(handles_.size(), 2u);
  handles_.CloseScope(scope);
}

}  // namespace
}  // namespace bibop
