#include "bibop/base/virtual_memory.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMiB = size_t{1} << 20;

TEST(VirtualRange, StartsAtAMultipleOfItsAlignment) {
  for (size_t alignment : {kPage, kMiB, 64 * kMiB, 1024 * kMiB}) {
    absl::StatusOr<VirtualRange> range =
        VirtualRange::Reserve(2 * kMiB, alignment);
    ASSERT_TRUE(range.ok()) << range.status();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(range->start()) % alignment, 0u);
    EXPECT_EQ(range->size(), 2 * kMiB);
  }
}

TEST(VirtualRange, MoveLeavesTheSourceEmpty) {
  absl::StatusOr<VirtualRange> range = VirtualRange::Reserve(kMiB, kPage);
  ASSERT_TRUE(range.ok()) << range.status();
  VirtualRange moved = *std::move(range);
  EXPECT_EQ(moved.size(), kMiB);
  EXPECT_EQ(range->size(), 0u);  // NOLINT(bugprone-use-after-move)
}

TEST(CommitFrontier, CommittedBytesReadAsZeroAndCanBeWritten) {
  absl::StatusOr<VirtualRange> range = VirtualRange::Reserve(kMiB, kPage);
  ASSERT_TRUE(range.ok()) << range.status();
  CommitFrontier frontier(range->start(), kMiB, 4 * kPage);
  ASSERT_TRUE(frontier.EnsureCommitted(1).ok());
  EXPECT_EQ(frontier.committed(), 4 * kPage);
  for (size_t i = 0; i < frontier.committed(); ++i) {
    ASSERT_EQ(frontier.start()[i], std::byte{0});
    frontier.start()[i] = std::byte{1};
  }
  ASSERT_TRUE(frontier.EnsureCommitted(4 * kPage + 1).ok());
  EXPECT_EQ(frontier.start()[0], std::byte{1});
  EXPECT_EQ(frontier.start()[4 * kPage], std::byte{0});
}

TEST(CommitFrontier, RefusesMoreThanItsCapacityAndStaysUsable) {
  absl::StatusOr<VirtualRange> range = VirtualRange::Reserve(kMiB, kPage);
  ASSERT_TRUE(range.ok()) << range.status();
  CommitFrontier frontier(range->start(), kMiB, 4 * kPage);
  const absl::Status refused = frontier.EnsureCommitted(kMiB + 1);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(frontier.committed(), 0u);
  EXPECT_TRUE(frontier.EnsureCommitted(kMiB).ok());
  frontier.start()[kMiB - 1] = std::byte{1};
}

TEST(CommitFrontier, HugePagesAreAdviceThatChangesNoContents) {
  absl::StatusOr<VirtualRange> range =
      VirtualRange::Reserve(4 * kMiB, 2 * kMiB);
  ASSERT_TRUE(range.ok()) << range.status();
  CommitFrontier frontier(range->start(), 4 * kMiB, 2 * kMiB,
                          CommitFrontier::Pages::kHuge);
  ASSERT_TRUE(frontier.EnsureCommitted(4 * kMiB).ok());
  for (size_t i = 0; i < 4 * kMiB; i += kPage) {
    ASSERT_EQ(frontier.start()[i], std::byte{0});
    frontier.start()[i] = std::byte{1};
  }
}

// The number of pages of [start, start + size) that the system keeps memory
// for.
size_t ResidentPages(std::byte* start, size_t size) {
  std::vector<unsigned char> pages(size / kPage);
  EXPECT_EQ(mincore(start, size, pages.data()), 0);
  return std::ranges::count_if(pages,
                               [](auto page) { return (page & 1) != 0; });
}

TEST(Decommit, GivesTheMemoryBackAndTheRangeStaysUsable) {
  absl::StatusOr<VirtualRange> range = VirtualRange::Reserve(kMiB, kPage);
  ASSERT_TRUE(range.ok()) << range.status();
  std::byte* start = range->start();
  CommitFrontier frontier(start, kMiB, kMiB);
  ASSERT_TRUE(frontier.EnsureCommitted(kMiB).ok());
  std::fill_n(start, kMiB, std::byte{1});
  EXPECT_EQ(ResidentPages(start, kMiB), kMiB / kPage);
  Decommit(start + kPage, kMiB / 2);
  EXPECT_EQ(ResidentPages(start, kMiB), kMiB / kPage / 2);
  EXPECT_EQ(frontier.committed(), kMiB);
  EXPECT_EQ(start[kPage - 1], std::byte{1});
  EXPECT_EQ(start[kPage], std::byte{0});
  EXPECT_EQ(start[kPage + kMiB / 2], std::byte{1});
  start[kPage] = std::byte{2};
  EXPECT_EQ(start[kPage], std::byte{2});
}

TEST(CommitFrontierDeathTest, WhatIsNotCommittedCannotBeTouched) {
  absl::StatusOr<VirtualRange> range = VirtualRange::Reserve(kMiB, kPage);
  ASSERT_TRUE(range.ok()) << range.status();
  CommitFrontier frontier(range->start(), kMiB, 4 * kPage);
  ASSERT_TRUE(frontier.EnsureCommitted(1).ok());
  EXPECT_DEATH(*static_cast<volatile std::byte*>(frontier.start() + 4 * kPage) =
                   std::byte{1},
               "");
}

#if !defined(ABSL_HAVE_ADDRESS_SANITIZER) && \
    !defined(ABSL_HAVE_THREAD_SANITIZER) &&  \
    !defined(ABSL_HAVE_MEMORY_SANITIZER)
// The sanitizers' own reservations do not fit under such a limit.
TEST(VirtualRange, ARefusedReservationIsAStatus) {
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &old), 0);
  rlimit small = old;
  small.rlim_cur = 1024 * kMiB;
  ASSERT_EQ(setrlimit(RLIMIT_AS, &small), 0);
  const absl::StatusOr<VirtualRange> range =
      VirtualRange::Reserve(4096 * kMiB, kPage);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &old), 0);
  EXPECT_EQ(range.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(range.status().message().find("RLIMIT_AS"), std::string::npos);
}

// Nor do their mappings count as the program's own data.
TEST(CommitFrontier, MemoryThatTheSystemRefusesIsAStatusAndItStaysUsable) {
  absl::StatusOr<VirtualRange> range =
      VirtualRange::Reserve(2048 * kMiB, kPage);
  ASSERT_TRUE(range.ok()) << range.status();
  CommitFrontier frontier(range->start(), 2048 * kMiB, kMiB);
  ASSERT_TRUE(frontier.EnsureCommitted(kMiB).ok());
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &old), 0);
  rlimit small = old;
  small.rlim_cur = 1024 * kMiB;
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &small), 0);
  const absl::Status refused = frontier.EnsureCommitted(2048 * kMiB);
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &old), 0);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(frontier.committed(), kMiB);
  EXPECT_TRUE(frontier.EnsureCommitted(2 * kMiB).ok());
  frontier.start()[2 * kMiB - 1] = std::byte{1};
}
#endif

}  // namespace
}  // namespace bibop
