#include "bibop/handles/barriers.h"

#include <cstddef>
#include <memory>
#include <thread>

#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

void OnAnotherThread(auto f) { std::thread(f).join(); }

// A mutator that may be parked.
class ParkableMutator final : public MutatorBase {
 public:
  ParkableMutator(ObjectHeap& heap, HeapRoots& roots)
      : MutatorBase(LocalAllocator::Create(heap).value(), roots) {}
  using MutatorBase::set_parked;

  absl::StatusOr<void*> AllocateSlow(const TypeInfo& type, TypeId id,
                                     size_t size) override {
    return allocator().AllocateSlow(type, id, size);
  }
  bool GrowWithoutCollecting(size_t /*size*/) override { return false; }
  [[noreturn]] void OutOfMemory(const absl::Status& status) override {
    ABSL_LOG(FATAL) << status.message();
  }
};

// What an object that overwrites its own references does.
struct ShadesItself {
  explicit ShadesItself(int& count) : died(count) {}
  ~ShadesItself() {
    internal::Shade(this);
    EXPECT_EQ(internal::ReadWeak([this]() -> void* { return this; }), this);
    ++died;
  }
  int& died;
};

class BarriersTest : public ::testing::Test {
 protected:
  static void BeginMark(ObjectHeap& heap) {
    heap.FinishSweep();
    heap.BeginMark();
  }
  static void EndCycle(ObjectHeap& heap) {
    heap.FinishMark();
    heap.EndClearing();
    heap.StartSweep();
  }

  std::unique_ptr<ObjectHeap> heap_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  // Another heap, whose collection turns the barriers on.
  std::unique_ptr<ObjectHeap> other_ =
      ObjectHeap::Create(Cage::kCapacity).value();
  HeapRoots roots_;
  ParkableMutator mutator_{*heap_, roots_};
};

using BarriersDeathTest = BarriersTest;

// A regression: the reference was lost, and its object with it.
TEST_F(BarriersDeathTest, OverwritingOnAThreadThatIsNotAttachedIsTold) {
  HandleScope scope(mutator_);
  void* object = scope.New<int>(1).get();
  mutator_.allocator().Retire();
  BeginMark(*heap_);
  EXPECT_DEATH(OnAnotherThread([object] { internal::Shade(object); }),
               "by a thread that is not attached to that heap");
  EXPECT_DEATH(OnAnotherThread([object] {
                 internal::ReadWeak([object] { return object; });
               }),
               "by a thread that is not attached to that heap");
  EndCycle(*heap_);
}

TEST_F(BarriersDeathTest, OverwritingWhileParkedIsTold) {
  HandleScope scope(mutator_);
  void* object = scope.New<int>(1).get();
  mutator_.allocator().Retire();
  BeginMark(*heap_);
  mutator_.set_parked(true);
  EXPECT_DEATH(internal::Shade(object), "by a parked thread");
  mutator_.set_parked(false);
  EndCycle(*heap_);
}

// A regression: a thread that collected while it was parked aborted in a
// destructor, if another heap was collecting.
TEST_F(BarriersTest, ADestructorOverwritesOnAnyThread) {
  int died = 0;
  const auto make_garbage = [this, &died] {
    HandleScope scope(mutator_);
    scope.New<ShadesItself>(died);
  };
  BeginMark(*other_);

  make_garbage();
  mutator_.allocator().Retire();
  BeginMark(*heap_);
  EndCycle(*heap_);
  mutator_.set_parked(true);
  heap_->SweepAll();
  EXPECT_EQ(died, 1);
  mutator_.set_parked(false);

  make_garbage();
  mutator_.allocator().Retire();
  BeginMark(*heap_);
  EndCycle(*heap_);
  OnAnotherThread([this] { heap_->SweepAll(); });
  EXPECT_EQ(died, 2);

  EndCycle(*other_);
}

}  // namespace
}  // namespace bibop
