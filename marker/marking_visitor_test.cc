#include "bibop/marker/marking_visitor.h"

#include <array>
#include <cstddef>
#include <vector>

#include "bibop/heap/object_heap.h"
#include "bibop/marker/member.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Thing {
  int n = 0;
};

struct Part {
  Member<Thing> one;
  std::array<Member<Thing>, 2> two;
  void Trace(auto& visitor) const { visitor(one, two); }
};

struct Whole : Part {
  Member<Thing> direct;
  Member<Thing> null;
  Member<Thing> matrix[2][2];
  Part parts[2];
  void Trace(auto& visitor) const {
    Part::Trace(visitor);
    visitor(direct, null);
    visitor(matrix, parts);
  }
};

TEST(MarkingVisitor, FindsEveryMemberOnceInWhateverItIsPartOf) {
  Thing things[14];
  int next = 0;
  const auto fill = [&](Part& part) {
    part.one = Member<Thing>(&things[next++]);
    part.two = {Member<Thing>(&things[next]), Member<Thing>(&things[next + 1])};
    next += 2;
  };
  Whole whole;
  fill(whole);
  whole.direct = Member<Thing>(&things[next++]);
  for (auto& row : whole.matrix) {
    for (auto& member : row) member = Member<Thing>(&things[next++]);
  }
  fill(whole.parts[0]);
  fill(whole.parts[1]);
  ASSERT_EQ(next, 14);

  const auto heap = ObjectHeap::Create(size_t{1} << 20).value();
  MarkingVisitor visitor(*heap);
  whole.Trace(visitor);
  // Taken in the opposite order.
  std::vector<const void*> expected;
  for (const Thing& thing : things) expected.push_back(&thing);
  std::vector<const void*> taken;
  while (!visitor.stack().empty()) {
    taken.insert(taken.begin(), visitor.stack().Take(1)[0]);
  }
  EXPECT_EQ(taken, expected);
}

TEST(MarkingVisitor, KeepsAnyNumberOfPointersAndNoNull) {
  constexpr size_t kCount = 100000;
  std::vector<Thing> things(kCount);
  const auto heap = ObjectHeap::Create(size_t{1} << 20).value();
  MarkingVisitor visitor(*heap);
  for (const Thing& thing : things) {
    visitor.VisitPointer(&thing);
    visitor.VisitPointer(nullptr);
  }
  for (size_t i = kCount; i-- > 0;)
    ASSERT_EQ(visitor.stack().Take(1)[0], &things[i]);
  EXPECT_TRUE(visitor.stack().empty());
}

}  // namespace
}  // namespace bibop
