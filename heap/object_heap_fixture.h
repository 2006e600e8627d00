// ObjectHeapTest: what tests of ObjectHeap have in common: a heap with one
// allocator, and a whole collection as one call.
//
//   class SmallHeapTest : public ObjectHeapTest {
//    protected:
//     SmallHeapTest() : ObjectHeapTest(1 << 20) {}
//   };

#ifndef BIBOP_HEAP_OBJECT_HEAP_FIXTURE_H_
#define BIBOP_HEAP_OBJECT_HEAP_FIXTURE_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/testing/tracked.h"
#include "gtest/gtest.h"

namespace bibop {

// Returns a cell for a T, as a mutator gets it.
template <class T>
absl::StatusOr<void*> Allocate(LocalAllocator& allocator) {
  void* cell = allocator.TryAllocate<T>();
  if (cell != nullptr) return cell;
  return allocator.AllocateSlow(kTypeInfo<T>, kTypeId<T>, sizeof(T));
}

// Marks the object that lies or begins at `object`.
inline void Mark(const ObjectHeap& heap, void* object) {
  BlockDescriptor* block = Cage::DescriptorOf(object);
  const size_t index =
      block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(object)));
  block->Mark(index, heap.marks().Found(block->MarkOf(index)));
}

class ObjectHeapTest : public ::testing::Test {
 protected:
  explicit ObjectHeapTest(size_t max_bytes = Cage::kCapacity)
      : heap_(ObjectHeap::Create(max_bytes).value()),
        allocator_(LocalAllocator::Create(*heap_).value()) {}

  template <class T>
  absl::StatusOr<void*> Allocate() {
    return ::bibop::Allocate<T>(*allocator_);
  }
  // With extra bytes: `size` in all.
  template <class T>
  absl::StatusOr<void*> Allocate(size_t size) {
    return allocator_->AllocateSlow(kTypeInfo<T>, kTypeId<T>, size);
  }

  // Allocates so many T's that the next one goes to a block of its type.
  template <class T>
  std::vector<void*> AllocateWhileRare() {
    std::vector<void*> objects;
    for (size_t bytes = 0; bytes < LocalAllocator::kRareBytes;
         bytes += kTypeInfo<T>.cell_size) {
      objects.push_back(Allocate<T>().value());
    }
    return objects;
  }

  // A whole cycle in which exactly the objects of `live` are marked.
  template <class Objects = std::vector<void*>>
  void Collect(const Objects& live) {
    heap_->FinishSweep();
    allocator_->Retire();
    heap_->CheckInvariants();
    heap_->BeginMark();
    for (void* object : live) Mark(*heap_, object);
    heap_->FinishMark();
    heap_->EndClearing();
    heap_->StartSweep();
    ++sweep_number_;
  }

  std::set<void*> Objects() {
    allocator_->Retire();
    std::set<void*> objects;
    heap_->ForEachObject(
        [&objects](ObjectRef object) { objects.insert(object.start); });
    return objects;
  }

  void DestroyHeap() {
    allocator_.reset();
    heap_.reset();
  }

  // What blocks are swept for since the last Collect.
  SweepNumber sweep_number_ = 1;
  // Told by destructors that the heap runs when it is destroyed.
  testing::Lifetimes lifetimes_;
  // The allocator gives its blocks back to the heap when it is destroyed.
  std::unique_ptr<ObjectHeap> heap_;
  std::optional<LocalAllocator> allocator_;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_OBJECT_HEAP_FIXTURE_H_
