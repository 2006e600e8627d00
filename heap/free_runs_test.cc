#include "bibop/heap/free_runs.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr uint32_t kHugePage = 64;

// What FreeRuns says, the slow way.
class Model {
 public:
  enum class State : uint8_t { kInUse, kFree, kResident };

  explicit Model(uint32_t blocks) : states_(blocks, State::kInUse) {}

  uint32_t size() const { return static_cast<uint32_t>(states_.size()); }
  State operator[](uint32_t block) const { return states_[block]; }
  bool IsFree(uint32_t block) const { return states_[block] != State::kInUse; }

  void Set(BlockRun run, State state) {
    std::fill_n(states_.begin() + run.first, run.count, state);
  }
  size_t Count(State state) const { return std::ranges::count(states_, state); }

  // The number of neighbours from `first` on that `holds` is true for.
  template <class F>
  uint32_t Length(uint32_t first, F holds) const {
    uint32_t end = first;
    while (end < size() && holds(end)) ++end;
    return end - first;
  }

  std::optional<uint32_t> BestFit(uint32_t count) const {
    std::optional<uint32_t> best;
    uint32_t best_length = 0;
    for (uint32_t first = 0; first < size(); ++first) {
      if (!IsFree(first) || (first > 0 && IsFree(first - 1))) continue;
      const uint32_t length =
          Length(first, [this](uint32_t block) { return IsFree(block); });
      if (length < count || (best.has_value() && length >= best_length)) {
        continue;
      }
      best = first;
      best_length = length;
    }
    return best;
  }

  bool IsResident(uint32_t block) const {
    return states_[block] == State::kResident;
  }
  bool IsHugePage(uint32_t first) const {
    return first % kHugePage == 0 && first + kHugePage <= size() &&
           Length(first, [this](uint32_t block) {
             return IsResident(block);
           }) >= kHugePage;
  }
  // The end of the last huge page that is resident as a whole, else of the last
  // resident block; 0 if there is none.
  uint32_t EndOfResident() const {
    for (uint32_t first = size() / kHugePage * kHugePage; first > 0;
         first -= kHugePage) {
      if (IsHugePage(first - kHugePage)) return first;
    }
    uint32_t end = size();
    while (end > 0 && !IsResident(end - 1)) --end;
    return end;
  }

 private:
  std::vector<State> states_;
};

using State = Model::State;

class FreeRunsTest : public ::testing::Test {
 protected:
  explicit FreeRunsTest(uint32_t blocks = 1000) : model_(blocks) {}

  uint32_t Random(uint32_t below) { return random_() % below; }

  void AddSome() {
    const uint32_t first = Random(model_.size());
    const uint32_t most = model_.Length(
        first, [this](uint32_t block) { return !model_.IsFree(block); });
    if (most == 0) return;
    const uint32_t count =
        1 + Random(Random(4) == 0 ? most : std::min(most, 9u));
    const bool resident = Random(2) == 0;
    runs_.Add({first, count}, resident);
    model_.Set({first, count}, resident ? State::kResident : State::kFree);
  }

  void TakeSome() {
    const uint32_t count = 1 + Random(Random(4) == 0 ? 200 : 8);
    const std::optional<uint32_t> first = runs_.Take(count);
    ASSERT_EQ(first, model_.BestFit(count)) << count << " blocks";
    if (first.has_value()) model_.Set({*first, count}, State::kInUse);
  }

  void TakeResident() {
    const uint32_t most = 64 + Random(200);
    const bool huge = model_.EndOfResident() >= kHugePage &&
                      model_.IsHugePage(model_.EndOfResident() - kHugePage);
    const std::optional<BlockRun> run = runs_.TakeResident(most);
    ASSERT_EQ(run.has_value(), model_.EndOfResident() > 0);
    if (!run.has_value()) return;
    ASSERT_GT(run->count, 0u);
    ASSERT_LE(run->count, most);
    ASSERT_EQ(run->first + run->count, model_.EndOfResident());
    ASSERT_TRUE(!huge || run->count % kHugePage == 0);
    for (uint32_t i = 0; i < run->count; ++i) {
      ASSERT_TRUE(model_.IsResident(run->first + i));
    }
    model_.Set(*run, State::kInUse);
  }

  void LookBefore() {
    const uint32_t end = Random(model_.size() + 1);
    uint32_t first = end;
    while (first > 0 && model_.IsFree(first - 1)) --first;
    const bool ends = end == model_.size() || !model_.IsFree(end);
    ASSERT_EQ(runs_.LengthBefore(end), ends ? end - first : 0) << end;
  }

  void Check() {
    runs_.CheckInvariants();
    ASSERT_EQ(runs_.count(),
              model_.Count(State::kFree) + model_.Count(State::kResident));
    ASSERT_EQ(runs_.resident(), model_.Count(State::kResident));
  }

  std::mt19937 random_{5};  // NOLINT(cert-msc51-cpp): repeatable
  FreeRuns runs_;
  Model model_;
};

TEST_F(FreeRunsTest, AreThoseOfAModel) {
  for (int step = 0; step < 4000; ++step) {
    // Now it fills, now it empties.
    const uint32_t adds = step / 500 % 2 == 0 ? 6 : 2;
    const uint32_t action = Random(10);
    if (action < adds) {
      AddSome();
    } else if (action < 8) {
      ASSERT_NO_FATAL_FAILURE(TakeSome()) << step;
    } else if (action < 9) {
      ASSERT_NO_FATAL_FAILURE(TakeResident()) << step;
    } else {
      ASSERT_NO_FATAL_FAILURE(LookBefore()) << step;
    }
    ASSERT_NO_FATAL_FAILURE(Check()) << step;
  }
}

TEST(FreeRuns, TheShortestRunThatIsLongEnoughServes) {
  FreeRuns runs;
  runs.Add({100, 9}, false);
  runs.Add({200, 5}, false);
  runs.Add({300, 6}, false);
  EXPECT_EQ(runs.Take(5), 200u);
  EXPECT_EQ(runs.Take(5), 300u);
  EXPECT_EQ(runs.Take(5), 100u);
  EXPECT_EQ(runs.Take(5), std::nullopt);
  EXPECT_EQ(runs.Take(4), 105u);
  runs.CheckInvariants();
}

TEST(FreeRuns, OfEqualRunsTheLowestServes) {
  FreeRuns runs;
  for (uint32_t first : {300, 100, 200}) runs.Add({first, 7}, false);
  EXPECT_EQ(runs.Take(7), 100u);
  EXPECT_EQ(runs.Take(7), 200u);
  EXPECT_EQ(runs.Take(7), 300u);
}

TEST(FreeRuns, RunsThatTouchAreOne) {
  for (bool resident : {false, true}) {
    FreeRuns runs;
    runs.Add({10, 5}, resident);
    runs.Add({20, 5}, !resident);
    EXPECT_EQ(runs.Take(15), std::nullopt);
    runs.Add({15, 5}, resident);
    EXPECT_EQ(runs.LengthBefore(25), 15u);
    runs.CheckInvariants();
    EXPECT_EQ(runs.Take(15), 10u);
    EXPECT_EQ(runs.count(), 0u);
    EXPECT_EQ(runs.resident(), 0u) << "what was taken is free no more";
  }
}

TEST(FreeRuns, WholeHugePagesAreGivenBackFirst) {
  FreeRuns runs;
  runs.Add({64, 64}, true);
  runs.Add({192, 64}, true);
  runs.Add({300, 63}, true);
  std::vector<uint32_t> order;
  while (const std::optional<BlockRun> run = runs.TakeResident(64)) {
    order.push_back(run->first);
    runs.CheckInvariants();
  }
  EXPECT_EQ(order, std::vector<uint32_t>({192, 64, 320, 300}));
}

TEST(FreeRuns, NeighbouringHugePagesAreGivenBackTogetherUpToTheMost) {
  FreeRuns runs;
  runs.Add({0, 5 * kHugePage}, true);
  const BlockRun first = runs.TakeResident(3 * kHugePage + 1).value();
  EXPECT_EQ(first.first, 2 * kHugePage);
  EXPECT_EQ(first.count, 3 * kHugePage);
  const BlockRun second = runs.TakeResident(3 * kHugePage + 1).value();
  EXPECT_EQ(second.first, 0u);
  EXPECT_EQ(second.count, 2 * kHugePage);
}

TEST(FreeRuns, WhatIsNotResidentStaysWhenTheRestIsGivenBack) {
  FreeRuns runs;
  runs.Add({0, 100}, false);
  runs.Add({100, 10}, true);
  const BlockRun run = runs.TakeResident(64).value();
  EXPECT_EQ(run.first, 100u);
  EXPECT_EQ(run.count, 10u);
  EXPECT_EQ(runs.TakeResident(64), std::nullopt);
  EXPECT_EQ(runs.count(), 100u);
  runs.Add(run, false);
  EXPECT_EQ(runs.Take(110), 0u);
}

}  // namespace
}  // namespace bibop
