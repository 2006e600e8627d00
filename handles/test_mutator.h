// A mutator for tests of the handles: a heap and an allocator, and no
// collector.

#ifndef BIBOP_HANDLES_TEST_MUTATOR_H_
#define BIBOP_HANDLES_TEST_MUTATOR_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <set>

#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/handles/async_slots.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/root_slots.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"

namespace bibop {

// The pools of a TestMutator that shares none with others; they outlive its
// base.
struct TestRoots {
  HeapRoots own_roots;
};

class TestMutator final : private TestRoots, public MutatorBase {
 public:
  explicit TestMutator(ObjectHeap& heap)
      : MutatorBase(LocalAllocator::Create(heap).value(), own_roots) {}
  TestMutator(ObjectHeap& heap, HeapRoots& roots)
      : MutatorBase(LocalAllocator::Create(heap).value(), roots) {}
  ~TestMutator() = default;

  absl::StatusOr<void*> AllocateSlow(const TypeInfo& type, TypeId id,
                                     size_t size) override {
    return allocator().AllocateSlow(type, id, size);
  }
  bool GrowWithoutCollecting(size_t /*size*/) override { return false; }
  [[noreturn]] void OutOfMemory(const absl::Status& status) override {
    ABSL_LOG(ERROR) << status.message();
    std::abort();
  }
};

// Notes the roots that it is shown.
class RootCollector final : public RootVisitor {
 public:
  explicit RootCollector(const LocalHandles& handles) {
    handles.VisitRootsInConstruction(*this);
    handles.VisitRoots(*this);
  }
  explicit RootCollector(const RootSlotPool& pool) { pool.VisitStrong(*this); }
  explicit RootCollector(const AsyncSlotPool& pool) { pool.VisitRoots(*this); }

  void VisitRoot(const void* object) override { roots.insert(object); }
  void VisitRootInConstruction(const void* object) override {
    in_construction.insert(object);
  }

  std::multiset<const void*> roots;
  std::multiset<const void*> in_construction;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_TEST_MUTATOR_H_
