#include "bibop/heap/marks.h"

#include <vector>

#include "bibop/heap/heap_phase.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

constexpr CollectionKind kMajor = CollectionKind::kMajor;
constexpr CollectionKind kMinor = CollectionKind::kMinor;

// Has the mark find an object, if it is not alive without that.
void Find(const Marks& marks, MarkByte& object) {
  if (!marks.IsAlive(object)) object = marks.Found(object);
}

TEST(MarksTest, AnObjectIsOldWhenTwoMarksHaveFoundIt) {
  for (const CollectionKind first : {kMajor, kMinor}) {
    for (const CollectionKind second : {kMajor, kMinor}) {
      Marks marks(/*generations=*/true);
      MarkByte object = kFreshMark;
      marks = marks.Next(first);
      EXPECT_FALSE(marks.IsAlive(object));
      Find(marks, object);
      EXPECT_TRUE(marks.IsAlive(object));
      EXPECT_NE(object, marks.old());
      marks = marks.Next(second);
      EXPECT_FALSE(marks.IsAlive(object)) << "it is young";
      Find(marks, object);
      EXPECT_EQ(object, marks.old());
      marks = marks.Next(kMinor);
      EXPECT_TRUE(marks.IsAlive(object)) << "it is old";
      marks = marks.Next(kMajor);
      EXPECT_FALSE(marks.IsAlive(object));
      Find(marks, object);
      EXPECT_EQ(object, marks.old()) << "it stays old";
    }
  }
}

TEST(MarksTest, WhatIsBornDuringAMarkIsAliveInThatOneAndFoundByNone) {
  Marks marks(/*generations=*/true);
  for (int i = 0; i < 10; ++i) {
    marks = marks.Next(i % 3 == 0 ? kMajor : kMinor);
    MarkByte object = marks.born();
    EXPECT_TRUE(marks.IsAlive(object));
    EXPECT_NE(object, marks.old());
    Marks later = marks.Next(kMinor);
    EXPECT_FALSE(later.IsAlive(object));
    Find(later, object);
    EXPECT_NE(object, later.old()) << "that was the first to find it";
    later = later.Next(kMinor);
    Find(later, object);
    EXPECT_EQ(object, later.old());
  }
}

TEST(MarksTest, WithoutGenerationsEverythingIsOldAtOnce) {
  Marks marks(/*generations=*/false);
  for (int i = 0; i < 100; ++i) {
    const MarkByte before = marks.old();
    marks = marks.Next(kMajor);
    EXPECT_EQ(marks.born(), marks.old());
    EXPECT_EQ(marks.Found(kFreshMark), marks.old());
    EXPECT_EQ(marks.Found(before), marks.old());
    EXPECT_FALSE(marks.IsAlive(before));
    EXPECT_FALSE(marks.IsAlive(kFreshMark));
  }
}

// What was not found is not taken for alive in any of the marks to come before
// the epoch comes again; the number of the mark repeats after two.
TEST(MarksTest, NoByteOfAnotherMarkIsAlive) {
  for (const bool generations : {false, true}) {
    Marks marks(generations);
    std::vector<MarkByte> earlier = {0, kFreshMark};
    for (int i = 0; i < 30; ++i) {
      if (i % 2 == 1 && generations) {
        const Marks before = marks;
        marks = marks.Next(kMinor);
        EXPECT_FALSE(marks.IsAlive(before.born()));
        EXPECT_FALSE(marks.IsAlive(before.Found(kFreshMark)));
        EXPECT_TRUE(marks.IsAlive(before.old()));
        earlier.insert(earlier.end(),
                       {before.born(), before.Found(kFreshMark)});
      }
      earlier.insert(earlier.end(),
                     {marks.old(), marks.born(), marks.Found(kFreshMark)});
      marks = marks.Next(kMajor);
      for (const MarkByte mark : earlier) {
        EXPECT_FALSE(marks.IsAlive(mark)) << i << " " << int{mark};
      }
      EXPECT_TRUE(marks.IsAlive(marks.old()));
      EXPECT_TRUE(marks.IsAlive(marks.born()));
      EXPECT_TRUE(marks.IsAlive(marks.Found(kFreshMark)));
    }
  }
}

TEST(MarksTest, EpochsAreNeverNone) {
  Epoch epoch = kFirstEpoch;
  std::vector<bool> seen(256);
  for (int i = 0; i < 31; ++i) {
    EXPECT_FALSE(seen[epoch]);
    seen[epoch] = true;
    EXPECT_NE(epoch, 0);
    EXPECT_EQ(EpochOf(epoch | kFreshMark | 4), epoch);
    epoch = NextEpoch(epoch);
  }
  EXPECT_EQ(epoch, kFirstEpoch);
}

}  // namespace
}  // namespace bibop
