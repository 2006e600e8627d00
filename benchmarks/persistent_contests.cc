#include "bibop/benchmarks/persistent_contests.h"

#include <array>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/layouts.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/benchmarks/race.h"
#include "bibop/gc.h"

namespace bibop::benchmarks {
namespace {

constexpr int kBatch = 1000;
constexpr char kFigure[] = "ns_per_operation";

// What all refer to.
struct Node {
  void Trace(auto& visitor) const { visitor(next); }

  Member<Node> next;
  int64_t value = 0;
};

// ---- what keeps an object alive, three times ----

struct WithBibop {
  using Keeper = Persistent<Node>;
  Keeper Make() const { return Keeper(mutator, node); }
  static void Drop(Keeper& keeper) { keeper.Reset(); }

  Mutator& mutator;
  Handle<Node> node;
};

// Slots for pointers.
class Pool {
 public:
  union Slot {
    Slot* next_free;
    const void* pointer;
  };

  Slot* Take(const void* pointer) {
    if (free_ == nullptr) [[unlikely]] {
      Extend();
    }
    Slot* const slot = free_;
    free_ = slot->next_free;
    slot->pointer = pointer;
    return slot;
  }

  void PutBack(Slot* slot) {
    slot->next_free = free_;
    free_ = slot;
  }

 private:
  using Block = std::array<Slot, 256>;

  ABSL_ATTRIBUTE_NOINLINE void Extend() {
    blocks_.push_back(std::make_unique<Block>());
    for (Slot& slot : *blocks_.back()) PutBack(&slot);
  }

  Slot* free_ = nullptr;
  std::vector<std::unique_ptr<Block>> blocks_;
};

// A slot of a pool, or none.
class Pooled {
 public:
  Pooled() = default;
  Pooled(Pool& pool, const void* pointer)
      : pool_(&pool), slot_(pool.Take(pointer)) {}
  Pooled(Pooled&& other) noexcept
      : pool_(other.pool_), slot_(std::exchange(other.slot_, nullptr)) {}
  Pooled& operator=(Pooled&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~Pooled() { Reset(); }

  const void* get() const { return slot_->pointer; }
  void Reset() {
    if (slot_ != nullptr) pool_->PutBack(std::exchange(slot_, nullptr));
  }

 private:
  Pool* pool_ = nullptr;
  Pool::Slot* slot_ = nullptr;
};

struct WithPool {
  using Keeper = Pooled;
  Keeper Make() const { return Keeper(pool, node); }
  static void Drop(Keeper& keeper) { keeper.Reset(); }

  Pool& pool;
  const Node* node;
};

struct WithSharedPtr {
  using Keeper = std::shared_ptr<Node>;
  // NOLINTNEXTLINE(readability-convert-member-functions-to-static)
  Keeper Make() const { return std::make_shared<Node>(); }
  static void Drop(Keeper& keeper) { keeper.reset(); }
};

// ---- what is done with them ----

template <class With>
using Keepers = std::vector<typename With::Keeper>;

struct OneByOne {
  template <class With>
  void operator()(With with) const {
    for (int i = 0; i < kBatch; ++i) {
      const typename With::Keeper keeper = with.Make();
      Observe(keeper.get());
    }
  }
};

struct MakeAll {
  template <class With>
  void operator()(With with, Keepers<With>& keepers) const {
    for (typename With::Keeper& keeper : keepers) {
      keeper = with.Make();
      Observe(keeper.get());
    }
  }
};

template <class With>
struct DropAll {
  void operator()(Keepers<With>& keepers, const std::vector<int>& order) const {
    for (const int i : order) {
      With::Drop(keepers[i]);
      Observe(&keepers[i]);
    }
  }
};

template <class With>
using LaidOutMakeAll = Layouts<MakeAll, With, Keepers<With>&>;
template <class With>
using LaidOutDropAll =
    Layouts<DropAll<With>, Keepers<With>&, const std::vector<int>&>;

// Each of a batch once, not in the order in which they were made.
std::vector<int> AnotherOrder() {
  constexpr int kStride = 389;  // shares no factor with kBatch
  std::vector<int> order;
  for (int i = 0; i < kBatch; ++i) order.push_back(i * kStride % kBatch);
  return order;
}

// ---- on one thread ----

constexpr auto kOneByOne = []<class With>(With with, Race& race) {
  Layouts<OneByOne, With> one_by_one;
  race.Repeat([&] { one_by_one(with); }, [](auto wait) { wait(); });
};

constexpr auto kThousand = []<class With>(With with, Race& race) {
  Keepers<With> keepers(kBatch);
  const std::vector<int> order = AnotherOrder();
  LaidOutMakeAll<With> make_all;
  LaidOutDropAll<With> drop_all;
  race.Repeat(
      [&] {
        make_all(with, keepers);
        drop_all(keepers, order);
      },
      [](auto wait) { wait(); });
};

void RunWithBibop(Race& race, auto body) {
  const auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const Handle<Node> node = scope.New<Node>();
  race.Run([&] { body(WithBibop{mutator, node}, race); });
}

void RunWithPool(Race& race, auto body) {
  Pool pool;
  const Node node;
  race.Run([&] { body(WithPool{pool, &node}, race); });
}

void RunWithSharedPtr(Race& race, auto body) {
  absl::Notification done;
  std::thread second([&done] { done.WaitForNotification(); });
  race.Run([&] { body(WithSharedPtr{}, race); });
  done.Notify();
  second.join();
}

RunResult ResultOf(int64_t operations, absl::Duration cpu) {
  return {.units = operations,
          .figures = {{kFigure, absl::ToDoubleNanoseconds(cpu) /
                                    static_cast<double>(operations)}}};
}

// Returns a contestant's run: `start` has `body` done as a race.
auto RunOf(auto start, auto body) {
  return [start, body](int64_t operations) {
    Race race(/*threads=*/1, operations / kBatch);
    start(race, body);
    return ResultOf(operations, race.cpu());
  };
}

// ---- on two threads ----

// Adds up the processor time that its thread spends in some stretches.
class Stopwatch {
 public:
  void Time(auto work) {
    const absl::Duration start = Now();
    work();
    total_ += Now() - start;
  }
  absl::Duration total() const { return total_; }

 private:
  static absl::Duration Now() {
    timespec now = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return absl::DurationFromTimespec(now);
  }

  absl::Duration total_;
};

// One thread makes batches, another drops them, each while the first makes the
// next. Each has a function that lets it wait.
template <class With>
class Relay {
 public:
  explicit Relay(int64_t operations)
      : rounds_(operations / kBatch),
        keepers_{Keepers<With>(kBatch), Keepers<With>(kBatch)} {}

  void Make(With with, auto wait) {
    LaidOutMakeAll<With> make_all;
    for (int64_t i = 0; i < rounds_; ++i) {
      makes_.Time([&] { make_all(with, keepers_[i % 2]); });
      wait([this] { handover_.arrive_and_wait(); });
    }
  }

  void Drop(auto wait) {
    const std::vector<int> order = AnotherOrder();
    LaidOutDropAll<With> drop_all;
    for (int64_t i = 0; i < rounds_; ++i) {
      wait([this] { handover_.arrive_and_wait(); });
      drops_.Time([&] { drop_all(keepers_[i % 2], order); });
    }
  }

  // When both have returned.
  absl::Duration cpu() const { return makes_.total() + drops_.total(); }

 private:
  const int64_t rounds_;
  std::array<Keepers<With>, 2> keepers_;
  std::barrier<> handover_{2};
  Stopwatch makes_;
  Stopwatch drops_;
};

auto WaitParked(Mutator& mutator) {
  return [&mutator](auto wait) {
    const ParkedScope parked(mutator);
    wait();
  };
}

constexpr auto kWaitUnattached = [](auto wait) { wait(); };

template <bool kAttached>
RunResult RelayBibop(int64_t operations) {
  const auto heap = Heap::Create({}).value();
  Relay<WithBibop> relay(operations);
  std::thread dropper([&] {
    if constexpr (kAttached) {
      MutatorScope mutator(*heap);
      relay.Drop(WaitParked(mutator));
    } else {
      relay.Drop(kWaitUnattached);
    }
  });
  {
    MutatorScope mutator(*heap);
    HandleScope scope(mutator);
    relay.Make(WithBibop{mutator, scope.New<Node>()}, WaitParked(mutator));
  }
  dropper.join();
  return ResultOf(operations, relay.cpu());
}

RunResult RelaySharedPtr(int64_t operations) {
  Relay<WithSharedPtr> relay(operations);
  std::thread dropper([&] { relay.Drop(kWaitUnattached); });
  relay.Make(WithSharedPtr{}, kWaitUnattached);
  dropper.join();
  return ResultOf(operations, relay.cpu());
}

// ---- the contests ----

Contest ContestOf(const char* name, int64_t operations, const char* reference,
                  std::vector<Contestant> contestants) {
  return {.name = name,
          .size = operations,
          .unit = "operations",
          .figure = kFigure,
          .reference = reference,
          .contestants = std::move(contestants)};
}

Contest OnOneThread(const char* name, int64_t operations, auto body) {
  constexpr auto kBibop = [](Race& race, auto b) { RunWithBibop(race, b); };
  constexpr auto kPool = [](Race& race, auto b) { RunWithPool(race, b); };
  constexpr auto kShared = [](Race& race, auto b) {
    RunWithSharedPtr(race, b);
  };
  std::vector<Contestant> contestants = OnEveryMalloc(RunOf(kShared, body));
  contestants.insert(contestants.begin(),
                     {{.name = "bibop", .run = RunOf(kBibop, body)},
                      {.name = "pool", .run = RunOf(kPool, body)}});
  return ContestOf(name, operations, "pool", std::move(contestants));
}

Contest OnTwoThreads(int64_t operations) {
  std::vector<Contestant> contestants = OnEveryMalloc(RelaySharedPtr);
  contestants.insert(
      contestants.begin(),
      {{.name = "attached", .run = RelayBibop</*kAttached=*/true>},
       {.name = "unattached", .run = RelayBibop</*kAttached=*/false>}});
  return ContestOf("persistent_elsewhere", operations, "attached",
                   std::move(contestants));
}

}  // namespace

std::vector<Contest> PersistentContests(int64_t operations) {
  return {OnOneThread("persistent", operations, kOneByOne),
          OnOneThread("persistent_thousand", operations, kThousand),
          OnTwoThreads(operations)};
}

std::vector<Derived> DerivePersistents(Figures median) {
  std::vector<Derived> derived;
  const auto derive = [&](const char* contest, const char* other,
                          std::optional<double> at_most) {
    derived.push_back(
        {absl::StrCat(contest, " bibop/", other),
         median(contest, "bibop", kFigure) / median(contest, other, kFigure),
         at_most});
  };
  derive("persistent", "pool", 2);
  derive("persistent", "glibc", 0.25);
  derive("persistent", "tcmalloc", 0.25);
  derive("persistent_thousand", "pool", 2);
  derive("persistent_thousand", "glibc", std::nullopt);
  derive("persistent_thousand", "tcmalloc", std::nullopt);
  for (const char* contestant : {"attached", "unattached"}) {
    derived.push_back({absl::StrCat("persistent_elsewhere ns ", contestant),
                       median("persistent_elsewhere", contestant, kFigure),
                       40});
  }
  return derived;
}

}  // namespace bibop::benchmarks
