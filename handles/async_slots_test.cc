#include "bibop/handles/async_slots.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/array.h"
#include "bibop/handles/async_slot_chain.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/object_heap.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using internal::AsyncSlotChain;
using internal::AsyncSlotRef;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr size_t kChunk = internal::AsyncSlotChunk::kBlocks;
constexpr size_t kSlots = AsyncSlotBlock::kSlots;

// Whether what is shown as roots is what it should be; what the addresses lead
// to does not matter, so they are those of bytes in one array.
class AsyncSlotsTest : public ::testing::Test {
 protected:
  using Addresses = std::multiset<const void*>;

  AsyncSlotsTest() {
    HandleScope scope(mutator_);
    bytes_ = &(*scope.NewArray<char>(kBytes))[0];
  }
  AsyncSlotChain NewChain(
      std::source_location place = std::source_location::current()) {
    return AsyncSlotChain(*roots_.async, place);
  }
  const void* Address(size_t n) const { return bytes_ + n % kBytes; }
  Addresses Roots() const { return RootCollector(*roots_.async).roots; }
  size_t capacity() const { return roots_.async->capacity(); }

  static constexpr size_t kBytes = 1 << 16;
  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(size_t{1} << 20).value();
  HeapRoots roots_;
  TestMutator mutator_{*heap_, roots_};
  const char* bytes_ = nullptr;
};

void OnAnotherThread(auto f) { std::thread(f).join(); }

TEST_F(AsyncSlotsTest, ASlotIsARootUntilItsScopeGoes) {
  std::optional<AsyncSlotChain> one = NewChain();
  std::optional<AsyncSlotChain> two = NewChain();
  EXPECT_TRUE(Roots().empty());
  one->Add(Address(1));
  two->Add(Address(2));
  one->Add(Address(3));
  one->Add(Address(3));
  EXPECT_EQ(Roots(),
            Addresses({Address(1), Address(2), Address(3), Address(3)}));
  one.reset();
  EXPECT_EQ(Roots(), Addresses({Address(2)}));
  two.reset();
  EXPECT_TRUE(Roots().empty());
}

TEST_F(AsyncSlotsTest, AScopeHasAnyNumberOfSlots) {
  for (const size_t count : {kSlots, kSlots + 1, 2 * kSlots, size_t{20'000}}) {
    std::optional<AsyncSlotChain> chain = NewChain();
    Addresses added;
    std::vector<AsyncSlotRef> refs;
    for (size_t i = 0; i < count; ++i) {
      refs.push_back(chain->Add(Address(i)));
      added.insert(Address(i));
    }
    EXPECT_EQ(chain->size(), count);
    EXPECT_EQ(Roots(), added);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(refs[i].Load(mutator_), Address(i));
      ASSERT_EQ(refs[i].LoadUnchecked(mutator_), Address(i));
      ASSERT_EQ(refs[i].scope(), chain->number());
    }
    chain.reset();
    EXPECT_TRUE(Roots().empty());
    for (const AsyncSlotRef& ref : refs) ASSERT_EQ(ref.Peek(), nullptr);
  }
}

TEST_F(AsyncSlotsTest, AMovedScopeKeepsItsSlots) {
  AsyncSlotChain from = NewChain();
  const AsyncSlotRef ref = from.Add(Address(1));
  const AsyncScopeNumber number = from.number();
  AsyncSlotChain to = std::move(from);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move): it is tested
  EXPECT_EQ(from.number(), 0u);
  EXPECT_EQ(from.size(), 0u);
  EXPECT_EQ(to.number(), number);
  EXPECT_EQ(ref.Load(mutator_), Address(1));
  AsyncSlotChain other = NewChain();
  const AsyncSlotRef gone = other.Add(Address(2));
  other = std::move(to);
  EXPECT_EQ(ref.Load(mutator_), Address(1));
  EXPECT_EQ(gone.Peek(), nullptr);
  AsyncSlotChain& same = other;
  other = std::move(same);
  EXPECT_EQ(other.number(), number);
  EXPECT_EQ(Roots(), Addresses({Address(1)}));
}

TEST_F(AsyncSlotsTest, AReferenceMayPointFurtherIntoItsObject) {
  AsyncSlotChain chain = NewChain();
  const AsyncSlotRef ref = chain.Add(Address(1000));
  EXPECT_EQ(ref.Plus(24).Load(mutator_), Address(1024));
  EXPECT_EQ(ref.Plus(24).Plus(-8).LoadUnchecked(mutator_), Address(1016));
  EXPECT_EQ(ref.Plus(32767).Load(mutator_), Address(1000 + 32767));
  EXPECT_TRUE(ref.Plus(24) == ref);
  EXPECT_EQ(Roots(), Addresses({Address(1000)}));
}

// As scopes follow each other blocks are used again.
TEST_F(AsyncSlotsTest, AReferenceIsNeverOneIntoALaterScope) {
  std::vector<AsyncSlotRef> refs;
  std::set<AsyncScopeNumber> numbers;
  for (size_t i = 0; i < 3000; ++i) {
    AsyncSlotChain chain = NewChain();
    for (size_t k = 0; k <= i % 10; ++k) {
      refs.push_back(chain.Add(Address(i)));
    }
    EXPECT_TRUE(numbers.insert(chain.number()).second);
    for (size_t k = 0; k + i % 10 + 1 < refs.size(); k += 100) {
      ASSERT_EQ(refs[k].Peek(), nullptr);
      ASSERT_FALSE(refs[k] == refs.back());
    }
    ASSERT_EQ(refs.back().Peek(), Address(i));
  }
  EXPECT_EQ(capacity(), kChunk);
}

TEST_F(AsyncSlotsTest, ScopesOfAllThreadsHaveNumbersOfTheirOwn) {
  constexpr size_t kScopes = 3000;
  std::vector<AsyncScopeNumber> numbers;
  const auto make = [&] {
    for (size_t i = 0; i < kScopes; ++i) numbers.push_back(NewChain().number());
  };
  make();
  OnAnotherThread(make);
  OnAnotherThread([&] {
    TestMutator other(*heap_, roots_);
    make();
  });
  make();
  EXPECT_EQ(std::set<AsyncScopeNumber>(numbers.begin(), numbers.end()).size(),
            4 * kScopes);
  EXPECT_EQ(std::ranges::count(numbers, 0u), 0);
}

// ---- blocks are used again ----

TEST_F(AsyncSlotsTest, BlocksAreUsedAgain) {
  for (const size_t count : {size_t{1}, kChunk, size_t{2000}}) {
    for (int round = 0; round < 20; ++round) {
      std::vector<AsyncSlotChain> chains;
      for (size_t i = 0; i < count; ++i) {
        chains.push_back(NewChain());
        chains.back().Add(Address(i));
      }
      EXPECT_EQ(Roots().size(), count);
    }
    EXPECT_LE(capacity(), count + kChunk);
  }
}

TEST_F(AsyncSlotsTest, BlocksThatAnotherThreadFreedAreUsedAgain) {
  for (int round = 0; round < 20; ++round) {
    std::vector<AsyncSlotChain> chains;
    for (size_t i = 0; i < 1000; ++i) {
      chains.push_back(NewChain());
      // More blocks than a cache takes are freed at once.
      for (size_t k = 0; k < (i == 0 ? 1000 : 1); ++k) {
        chains.back().Add(Address(i));
      }
    }
    if (round % 2 == 0) {
      OnAnotherThread([&] { chains.clear(); });
    } else {
      OnAnotherThread([&] {
        TestMutator other(*heap_, roots_);
        chains.clear();
      });
    }
    EXPECT_TRUE(Roots().empty());
  }
  EXPECT_LE(capacity(), 1200 + kChunk);
}

TEST_F(AsyncSlotsTest, AThreadWithoutAMutatorMakesScopesOfFreedBlocks) {
  OnAnotherThread([&] {
    for (int round = 0; round < 20; ++round) {
      std::vector<AsyncSlotChain> chains;
      for (size_t i = 0; i < 1000; ++i) chains.push_back(NewChain());
    }
  });
  EXPECT_LE(capacity(), 1000 + kChunk);
}

TEST_F(AsyncSlotsTest, AThreadThatLeavesBringsItsBlocksBack) {
  for (int round = 0; round < 50; ++round) {
    OnAnotherThread([&] {
      TestMutator other(*heap_, roots_);
      std::vector<AsyncSlotChain> chains;
      for (int i = 0; i < 50; ++i) chains.push_back(NewChain());
    });
  }
  EXPECT_EQ(capacity(), kChunk);
}

TEST_F(AsyncSlotsTest, AThreadThatOnlyFreesKeepsFewBlocks) {
  TestMutator* other = nullptr;
  for (int round = 0; round < 50; ++round) {
    std::vector<AsyncSlotChain> chains;
    for (size_t i = 0; i < 300; ++i) chains.push_back(NewChain());
    OnAnotherThread([&] {
      TestMutator local(*heap_, roots_);
      other = &local;
      chains.clear();
      OnAnotherThread([&] {
        // While that thread still has its cache.
        std::vector<AsyncSlotChain> more;
        for (size_t i = 0; i < 200; ++i) more.push_back(NewChain());
      });
    });
  }
  EXPECT_NE(other, nullptr);
  EXPECT_LE(capacity(), kChunk);
}

// ---- looking at slots in pieces ----

class Counter final : public RootVisitor {
 public:
  void VisitRoot(const void*) override { ++count; }
  void VisitRootInConstruction(const void*) override { ADD_FAILURE(); }
  size_t count = 0;
};

TEST_F(AsyncSlotsTest, SlotsAreShownInPiecesThoseOfTheBeginningAll) {
  constexpr size_t kScopes = 5000;
  std::vector<AsyncSlotChain> chains;
  for (size_t i = 0; i < kScopes; ++i) {
    chains.push_back(NewChain());
    chains.back().Add(Address(i));
  }
  AsyncSlotPool::Progress progress;
  Counter counter;
  int pieces = 1;
  while (!roots_.async->VisitRoots(counter, progress, 3000)) {
    ++pieces;
    // New chunks are not waited for.
    for (size_t i = 0; i < 2 * kChunk; ++i) {
      chains.push_back(NewChain());
      chains.back().Add(Address(i));
    }
  }
  EXPECT_GE(pieces, 9);
  EXPECT_LE(pieces, 11);
  EXPECT_GE(counter.count, kScopes);
  EXPECT_TRUE(roots_.async->VisitRoots(counter, progress, 1));
}

// ---- misuse ----

using AsyncSlotsDeathTest = AsyncSlotsTest;

TEST_F(AsyncSlotsDeathTest, AStaleReferenceAbortsAndNamesItsScope) {
  std::optional<AsyncSlotChain> chain = NewChain();
  const AsyncSlotRef ref = chain->Add(Address(1));
  const std::string number = absl::StrCat(", number ", chain->number());
  chain.reset();
  EXPECT_DEATH(ref.Load(mutator_),
               absl::StrCat(number, ".*, was destroyed: a scope belongs"));
  if (kCheckedHandles) {
    EXPECT_DEATH(ref.LoadUnchecked(mutator_), number);
    EXPECT_DEATH(ref.Load(mutator_), "made at handles/async_slots_test.cc:");
  }
  const AsyncSlotChain reused = NewChain();
  EXPECT_DEATH(ref.Load(mutator_), number);
}

TEST_F(AsyncSlotsDeathTest, WhatWasNeverAddedOrWasMovedFromAborts) {
  EXPECT_DEATH(AsyncSlotRef().Load(mutator_), "an empty AsyncHandle is used");
  AsyncSlotChain from = NewChain();
  const AsyncSlotChain to = std::move(from);
  // NOLINTNEXTLINE(bugprone-use-after-move): it is tested
  EXPECT_DEATH(from.Add(Address(1)), "that was moved from");
  AsyncSlotChain chain = NewChain();
  EXPECT_DEATH(chain.Add(Address(1)).Plus(32768), "more than 32 KiB");
}

TEST_F(AsyncSlotsDeathTest, CheckedBuildsTellOfTheMutatorOfAnotherHeap) {
  if (!kCheckedHandles) GTEST_SKIP() << "for checked builds";
  const auto heap = ObjectHeap::Create(size_t{1} << 20).value();
  TestMutator other(*heap);
  AsyncSlotChain chain = NewChain();
  const AsyncSlotRef ref = chain.Add(Address(1));
  EXPECT_DEATH(ref.Load(other), "with the mutator of another heap");
}

// ---- several threads ----

TEST_F(AsyncSlotsTest, SeveralThreadsAddToOneScope) {
  constexpr size_t kThreads = 4;
  constexpr size_t kEach = 2000;
  for (int round = 0; round < 10; ++round) {
    std::optional<AsyncSlotChain> chain = NewChain();
    std::vector<std::thread> threads;
    std::atomic<size_t> ready = 0;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        TestMutator mutator(*heap_, roots_);
        ++ready;
        while (ready < kThreads) std::this_thread::yield();
        for (size_t i = 0; i < kEach; ++i) {
          const void* address = Address(t * kEach + i);
          const AsyncSlotRef ref = chain->Add(address);
          ASSERT_EQ(ref.Load(mutator), address);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    Addresses expected;
    for (size_t i = 0; i < kThreads * kEach; ++i) expected.insert(Address(i));
    EXPECT_EQ(chain->size(), kThreads * kEach);
    EXPECT_EQ(Roots(), expected);
    chain.reset();
    EXPECT_TRUE(Roots().empty());
  }
  EXPECT_LE(capacity(), kThreads * (kEach / kSlots + 2 * kChunk));
}

// A reader has references whose scopes other threads destroy and whose blocks
// they use again.
TEST_F(AsyncSlotsTest, AReferenceIsGoodOrStaleWhateverOtherThreadsDo) {
  constexpr size_t kRefs = 64;
  constexpr int kRounds = 20'000;
  // Entry i is of a scope whose slot holds Address(i); read and written
  // together under a lock, used without one.
  absl::Mutex mutex;
  std::vector<AsyncSlotRef> refs(kRefs);
  // Words that one sets and others wait for; they order nothing. The writers go
  // on until the reader, which a busy machine may run last, has seen references
  // of both kinds.
  std::atomic<bool> seen = false;
  std::atomic<bool> done = false;
  std::vector<std::thread> writers;
  for (int w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      std::mt19937 random(w);  // NOLINT(cert-msc51-cpp): repeatable
      std::optional<TestMutator> mutator;
      if (w == 0) mutator.emplace(*heap_, roots_);
      std::vector<std::optional<AsyncSlotChain>> chains(kRefs);
      for (int64_t i = 0; i < kRounds || !seen; ++i) {
        const size_t at = random() % kRefs;
        chains[at].reset();
        chains[at] = NewChain();
        const AsyncSlotRef ref = chains[at]->Add(Address(at));
        const absl::MutexLock lock(mutex);
        refs[at] = ref;
      }
    });
  }
  size_t good = 0;
  size_t stale = 0;
  size_t wrong = 0;
  std::thread reader([&] {
    while (!done) {
      std::vector<AsyncSlotRef> copy;
      {
        const absl::MutexLock lock(mutex);
        copy = refs;
      }
      for (int i = 0; i < 10; ++i) {
        for (size_t at = 0; at < kRefs; ++at) {
          // Nobody has written this one yet.
          if (copy[at].IsEmpty()) continue;
          const void* address = copy[at].Peek();
          ++(address == nullptr       ? stale
             : address == Address(at) ? good
                                      : wrong);
        }
      }
      if (wrong > 0 || (good > 0 && stale > 0)) seen = true;
    }
  });
  for (std::thread& writer : writers) writer.join();
  done = true;
  reader.join();
  EXPECT_EQ(wrong, 0u);
}

// Random scopes, made, moved, added to and destroyed by threads with and
// without a mutator, against a model.
class AsyncSlotsModelTest : public AsyncSlotsTest,
                            public ::testing::WithParamInterface<int> {};

TEST_P(AsyncSlotsModelTest, TheRootsAreThoseOfAModel) {
  std::mt19937 random(GetParam());  // NOLINT(cert-msc51-cpp): repeatable
  struct Scope {
    AsyncSlotChain chain;
    std::vector<std::pair<AsyncSlotRef, const void*>> slots;
  };
  std::vector<Scope> model;
  std::vector<AsyncSlotRef> stale;
  const auto make = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) model.push_back({NewChain(), {}});
  };
  const auto destroy = [&](size_t count) {
    while (count-- > 0 && !model.empty()) {
      std::swap(model[random() % model.size()], model.back());
      for (const auto& [ref, address] : model.back().slots) {
        if (stale.size() < 1000) stale.push_back(ref);
      }
      model.pop_back();
    }
  };
  for (int step = 0; step < 1000; ++step) {
    const size_t count = random() % 10 == 0 ? random() % 300 : random() % 10;
    switch (random() % 6) {
      case 0:
        make(count);
        break;
      case 1:
        OnAnotherThread([&] { make(count); });
        break;
      case 2:
      case 3:
        for (size_t i = 0; i < count && !model.empty(); ++i) {
          Scope& scope = model[random() % model.size()];
          const void* address = Address(random());
          scope.slots.emplace_back(scope.chain.Add(address), address);
        }
        break;
      case 4:
        destroy(count);
        break;
      default:
        OnAnotherThread([&] {
          std::optional<TestMutator> other;
          if (count % 2 == 0) other.emplace(*heap_, roots_);
          destroy(count);
          make(count / 2);
        });
    }
    if (step % 20 != 0) continue;
    Addresses expected;
    for (const Scope& scope : model) {
      ASSERT_EQ(scope.chain.size(), scope.slots.size());
      for (const auto& [ref, address] : scope.slots) {
        ASSERT_EQ(ref.Load(mutator_), address);
        expected.insert(address);
      }
    }
    ASSERT_EQ(Roots(), expected);
    for (const AsyncSlotRef& ref : stale) ASSERT_EQ(ref.Peek(), nullptr);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, AsyncSlotsModelTest, ::testing::Range(0, 6));

// ---- the end of the heap ----

// A heap, as far as its pool goes.
struct OwnPool {
  HeapRoots roots;
  std::unique_ptr<ObjectHeap> heap =
      ObjectHeap::Create(size_t{1} << 20).value();
  AsyncSlotChain NewChain() {
    return AsyncSlotChain(*roots.async, std::source_location::current());
  }
  const void* Anything(TestMutator& mutator) {
    HandleScope scope(mutator);
    return scope.NewArray<char>(100).get();
  }
};

// The last deletes the pool, or the leak checker tells.
TEST(AsyncSlotPoolTest, ScopesThatOutliveTheirHeapHoldNothing) {
  auto pool = std::make_unique<OwnPool>();
  std::vector<AsyncSlotChain> chains;
  std::vector<AsyncSlotRef> refs;
  {
    TestMutator mutator(*pool->heap, pool->roots);
    const void* anything = pool->Anything(mutator);
    for (size_t i = 0; i < 1000; ++i) {
      chains.push_back(pool->NewChain());
      for (size_t k = 0; k < i % 20; ++k) {
        refs.push_back(chains.back().Add(anything));
      }
    }
    chains.erase(chains.begin() + 500, chains.end());
  }
  pool.reset();
  for (const AsyncSlotRef& ref : refs) EXPECT_EQ(ref.Peek(), nullptr);
  chains.clear();
}

TEST(AsyncSlotPoolTest, WithoutScopesItGoesAtOnce) {
  const OwnPool unused;
  OwnPool used;
  const TestMutator mutator(*used.heap, used.roots);
  std::vector<AsyncSlotChain> chains;
  for (size_t i = 0; i < 1000; ++i) chains.push_back(used.NewChain());
  OnAnotherThread([&] { chains.erase(chains.begin() + 500, chains.end()); });
}

// For the sanitizers: nobody uses the pool after it was deleted, and somebody
// deletes it.
TEST(AsyncSlotPoolTest, ScopesMayBeDestroyedWhileTheirHeapIs) {
  for (size_t round = 0; round < 300; ++round) {
    auto pool = std::make_unique<OwnPool>();
    std::vector<AsyncSlotChain> chains[2];
    {
      TestMutator mutator(*pool->heap, pool->roots);
      const void* anything = pool->Anything(mutator);
      for (size_t i = 0; i < 1 + round % 100; ++i) {
        chains[i % 2].push_back(pool->NewChain());
        for (size_t k = 0; k < i % 10; ++k) {
          chains[i % 2].back().Add(anything);
        }
      }
    }
    std::atomic<int> ready = 0;
    const auto together = [&ready] {
      ++ready;
      while (ready < 3) std::this_thread::yield();
    };
    std::vector<std::thread> threads;
    for (auto& mine : chains) {
      threads.emplace_back([&] {
        together();
        while (!mine.empty()) mine.pop_back();
      });
    }
    together();
    pool.reset();
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(AsyncSlotPoolTest, CheckedBuildsSayHowManyScopesAreLeftAndWhereMade) {
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(log,
              Log(absl::LogSeverity::kWarning, _,
                  AllOf(HasSubstr("before 3 AsyncHandleScopes, whose handles"),
                        HasSubstr("\n  3 made at handles/async_slots_test"))))
      .Times(kCheckedHandles ? 1 : 0);
  log.StartCapturingLogs();
  std::vector<AsyncSlotChain> chains;
  auto pool = std::make_unique<OwnPool>();
  {
    TestMutator mutator(*pool->heap, pool->roots);
    const void* anything = pool->Anything(mutator);
    for (int i = 0; i < 4; ++i) chains.push_back(pool->NewChain());
    for (int i = 0; i < 100; ++i) chains[0].Add(anything);
    chains.pop_back();
  }
  pool.reset();
}

}  // namespace
}  // namespace bibop
