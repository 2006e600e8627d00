#include "bibop/base/poison.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>

#include "absl/base/config.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

// Memory as the heap has it: a cell of it is poisoned, the rest is not.
class PoisonTest : public ::testing::Test {
 protected:
  static constexpr size_t kCell = 24;

  PoisonTest() { memory_.fill(std::byte{1}); }
  ~PoisonTest() override { UnpoisonForSystem(memory_.data(), memory_.size()); }

  std::byte Read(size_t index) const {
    return *static_cast<const volatile std::byte*>(&memory_[index]);
  }

  alignas(16) std::array<std::byte, 3 * kCell> memory_;
  std::byte* cell_ = memory_.data() + kCell;
};

TEST_F(PoisonTest, AFreedCellIsNoDataInCheckedBuildsAndItsNeighboursAre) {
  PoisonFreed(cell_, kCell);
  EXPECT_EQ(Read(kCell - 1), std::byte{1});
  EXPECT_EQ(Read(2 * kCell), std::byte{1});
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  EXPECT_DEATH(Read(kCell), "use-after-poison");
  EXPECT_DEATH(Read(2 * kCell - 1), "use-after-poison");
#else
  const std::byte expected =
      PoisonsFreedMemory() ? std::byte{kZapByte} : std::byte{1};
  EXPECT_EQ(std::count(cell_, cell_ + kCell, expected),
            static_cast<std::ptrdiff_t>(kCell));
#endif
}

#ifndef ABSL_HAVE_ADDRESS_SANITIZER
// In a process of its own, for it cannot be taken back.
TEST_F(PoisonTest, AFreedCellIsNoDataWhereThatWasAskedFor) {
  EXPECT_EXIT(
      {
        ClobberFreedMemory();
        PoisonFreed(cell_, kCell);
        std::exit(std::count(cell_, cell_ + kCell, std::byte{kZapByte}) ==
                          std::ptrdiff_t{kCell}
                      ? 0
                      : 1);
      },
      ::testing::ExitedWithCode(0), "");
}
#endif

TEST_F(PoisonTest, AnObjectCanBeWrittenWhereOneWasFreed) {
  PoisonFreed(cell_, kCell);
  UnpoisonForObject(cell_, kCell);
  std::fill_n(cell_, kCell, std::byte{2});
  EXPECT_EQ(Read(kCell), std::byte{2});
  EXPECT_EQ(Read(2 * kCell - 1), std::byte{2});
}

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
TEST_F(PoisonTest, WhatTheObjectDoesNotTakeOfItsCellStaysPoisoned) {
  PoisonUnused(cell_, kCell);
  UnpoisonForObject(cell_, kCell - 5);
  EXPECT_EQ(Read(2 * kCell - 6), std::byte{1});
  EXPECT_DEATH(Read(2 * kCell - 5), "AddressSanitizer");
}
#endif

}  // namespace
}  // namespace bibop
