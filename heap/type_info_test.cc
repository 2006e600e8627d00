#include "bibop/heap/type_info.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/scoped_mock_log.h"
#include "bibop/base/poison.h"
#include "bibop/heap/size_classes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {

// Stands for the marker's visitor, which this package does not know.
class MarkingVisitor {
 public:
  void operator()(const void* field) { fields_.push_back(field); }
  const std::vector<const void*>& fields() const { return fields_; }

 private:
  std::vector<const void*> fields_;
};

namespace {

using ::testing::_;
using ::testing::HasSubstr;

struct Leaf {
  int64_t value;
};

struct Inner {
  int64_t value;
  void Trace(auto& visitor) const { visitor(&value); }
};

struct WithDestructor {
  std::string name;
  int* destroyed;
  ~WithDestructor() { ++*destroyed; }
};

struct alignas(64) Aligned {
  char c;
};

TEST(TypeInfo, SaysWhatTheTypeIs) {
  EXPECT_EQ(kTypeInfo<Leaf>.size, 8u);
  EXPECT_EQ(kTypeInfo<Leaf>.trace, nullptr);
  EXPECT_EQ(kTypeInfo<Leaf>.destroy, nullptr);
  EXPECT_NE(kTypeInfo<Leaf>.name.find("Leaf"), std::string::npos)
      << kTypeInfo<Leaf>.name;
  EXPECT_EQ(kTypeInfo<bool>.name, "bool");
  EXPECT_NE(kTypeInfo<Inner>.trace, nullptr);
  EXPECT_NE(kTypeInfo<WithDestructor>.destroy, nullptr);
  EXPECT_EQ(kTypeInfo<Aligned>.alignment, 64u);
}

TEST(TypeInfo, TraceVisitsTheObject) {
  const Inner inner = {7};
  MarkingVisitor visitor;
  kTypeInfo<Inner>.trace(&inner, visitor);
  ASSERT_EQ(visitor.fields().size(), 1u);
  EXPECT_EQ(visitor.fields()[0], &inner.value);
}

TEST(TypeInfo, DestroyRunsTheDestructor) {
  int destroyed = 0;
  alignas(WithDestructor) std::byte memory[sizeof(WithDestructor)];
  new (memory)
      WithDestructor{"a name that is too long to be inline", &destroyed};
  kTypeInfo<WithDestructor>.destroy(memory);
  EXPECT_EQ(destroyed, 1);
}

struct ThrowingDestructor {
  ~ThrowingDestructor() noexcept(false) { throw std::runtime_error("no"); }
};

TEST(TypeInfo, WhatADestructorThrowsIsLoggedAndGoesNoFurther) {
  absl::ScopedMockLog log(absl::MockLogDefault::kDisallowUnexpected);
  EXPECT_CALL(log, Log(absl::LogSeverity::kError, _,
                       HasSubstr("::ThrowingDestructor threw an exception")));
  log.StartCapturingLogs();
  alignas(ThrowingDestructor) std::byte memory[sizeof(ThrowingDestructor)];
  kTypeInfo<ThrowingDestructor>.destroy(new (memory) ThrowingDestructor);
}

TEST(TypeInfo, CellsHoldTheirObjectsAlignedAndAreNotMuchLarger) {
  for (size_t alignment = 1; alignment <= kMaxAlignment; alignment *= 2) {
    for (size_t size = alignment; size <= 32768; size += alignment) {
      const size_t cell = CellSizeFor(size, alignment);
      ASSERT_GE(cell, size);
      ASSERT_EQ(cell % alignment, 0u);
      ASSERT_EQ(cell % kPoisonGranularity, 0u);
      ASSERT_GE(cell, kMinCellSize);
      ASSERT_TRUE(cell < size + std::max(kPoisonGranularity, size_t{2}) ||
                  cell == std::max(alignment, kMinCellSize))
          << size;
    }
  }
}

struct Large {
  std::byte bytes[kMaxMediumSize];
};
struct TooLarge {
  std::byte bytes[kMaxMediumSize + 1];
};
struct alignas(4096) PageAligned {
  std::byte bytes[4097];
};

TEST(TypeInfo, TheSizeClassHasCellsForTheObject) {
  EXPECT_EQ(kTypeInfo<Leaf>.size_class, 0u);
  EXPECT_EQ(kTypeInfo<Aligned>.size_class, FindSizeClass(64, 64));
  EXPECT_EQ(kTypeInfo<Large>.size_class, kNumSizeClasses - 1);
  EXPECT_EQ(kTypeInfo<TooLarge>.size_class, kNumSizeClasses);
  EXPECT_EQ(SizeClassOf(kTypeInfo<PageAligned>.size_class).cell_size, 8192u);
}

TEST(TypeInfo, EachTypeHasOneNumberOfItsOwn) {
  EXPECT_NE(kTypeId<Leaf>, 0);
  EXPECT_NE(kTypeId<Leaf>, kTypeId<Inner>);
  EXPECT_EQ(RegisterType(kTypeInfo<Leaf>), kTypeId<Leaf>);
  EXPECT_EQ(TypeOf(kTypeId<Leaf>), &kTypeInfo<Leaf>);
  EXPECT_EQ(TypeOf(kTypeId<Inner>), &kTypeInfo<Inner>);
}

TEST(TypeInfo, ZeroIsNoType) { EXPECT_EQ(TypeOf(0), nullptr); }

// Seen by a static initializer that ran before the number was given out.
struct Late {};
const TypeId first_number = RegisterType(kTypeInfo<Late>);

TEST(TypeInfo, RegisteringEarlyGivesTheSameNumber) {
  EXPECT_EQ(first_number, kTypeId<Late>);
}

class PrivateTrace {
  void Trace(auto& visitor) const { visitor(this); }
};

struct ForgottenConst {
  void Trace(auto& visitor) { visitor(this); }
};

struct FinalForgottenConst final {
  void Trace(auto& visitor) { visitor(this); }
};

TEST(TypeInfo, ATraceThatCannotBeCalledIsNoticed) {
  EXPECT_TRUE(internal::MutablyTraceable<FinalForgottenConst>);
  EXPECT_FALSE(internal::Traceable<FinalForgottenConst>);
  EXPECT_TRUE(internal::HasMemberTrace<PrivateTrace>);
  EXPECT_FALSE(internal::Traceable<PrivateTrace>);
  EXPECT_TRUE(internal::HasMemberTrace<ForgottenConst>);
  EXPECT_FALSE(internal::Traceable<ForgottenConst>);
  EXPECT_FALSE(internal::HasMemberTrace<Leaf>);
}

}  // namespace
}  // namespace bibop
