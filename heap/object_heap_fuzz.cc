// A fuzz target: the input is a program of operations on a heap with several
// allocators, which a model follows. See testing/fuzz_test.bzl.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/heap_model.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

// The input, read from its start; zeros beyond its end.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  bool empty() const { return left_ == 0; }
  uint8_t Byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  size_t Number(size_t below) {
    const size_t high = Byte();
    return (high << 8 | Byte()) * below >> 16;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

const std::vector<ModelKind>& Kinds() {
  static const auto& kinds = *new std::vector<ModelKind>{
      ModelKindOf<ModelLeaf<16>>(),        ModelKindOf<ModelLeaf<24>>(),
      ModelKindOf<ModelLeaf<100>>(),       ModelKindOf<ModelLeaf<1000>>(),
      ModelKindOf<ModelLeaf<4096>>(),      ModelKindOf<ModelLeaf<20000>>(),
      ModelKindOf<ModelLeaf<64, 64>>(),    ModelKindOf<ModelLeaf<4096, 4096>>(),
      ModelKindOf<ModelLeaf<300000>>(),    ModelKindOf<ModelTracked<16>>(),
      ModelKindOf<ModelTracked<60>>(),     ModelKindOf<ModelTracked<600>>(),
      ModelKindOf<ModelTracked<2000>>(),   ModelKindOf<ModelTracked<9000>>(),
      ModelKindOf<ModelTracked<100000>>(), ModelKindOf<ModelTracked<400000>>(),
  };
  return kinds;
}

class Program {
 public:
  explicit Program(Input input)
      : input_(input),
        checks_each_step_(input_.Byte() % 2 == 0),
        max_bytes_((size_t{64} << (input_.Byte() % 8)) << 10),
        heap_(ObjectHeap::Create(max_bytes_,
                                 /*generations=*/input_.Byte() % 2 == 0)
                  .value()),
        allocators_(1 + input_.Byte() % 4) {
    for (auto& allocator : allocators_) {
      allocator.emplace(LocalAllocator::Create(*heap_).value());
    }
  }

  void Run() {
    while (!input_.empty()) {
      Step();
      CheckFigures();
      if (checks_each_step_) Check();
    }
    Check();
    allocators_.clear();
    model_.HeapEnds();
    heap_.reset();
    model_.HeapEnded();
  }

 private:
  void Step() {
    switch (input_.Byte() % 16) {
      case 0:
      case 1:
      case 2:
        AllocateMany(PickKind(), input_.Byte());
        return;
      case 3:
        AllocateArrays(kMaxSmallSize, 16);
        return;
      case 4:
        AllocateArrays(kMaxMediumSize, 4);
        return;
      case 5:
        AllocateArrays(4 * kMiB, 2);
        return;
      case 6:
        AllocateTooMuch();
        return;
      case 7:
        Abandon();
        return;
      case 8:
      case 9:
        Collect(input_.Byte(), input_.Byte() % 2 == 0 ? CollectionKind::kMinor
                                                      : CollectionKind::kMajor);
        return;
      case 10:
        heap_->SweepSome(input_.Byte() % 8);
        return;
      case 11:
        PickAllocator().Retire();
        return;
      case 12:
        heap_->ReleaseFreeMemory(input_.Number(16 * kMiB));
        return;
      case 13:
        heap_->AdjustExternalBytes(
            static_cast<int64_t>(input_.Number(max_bytes_)) -
            static_cast<int64_t>(max_bytes_ / 2));
        return;
      case 14:
        LookUp();
        return;
      default:
        allocators_[input_.Byte() % allocators_.size()].emplace(
            LocalAllocator::Create(*heap_).value());
        ABSL_CHECK_LE(heap_->TakeIdleBytes(), heap_->memory().free_resident);
        return;
    }
  }

  const ModelKind& PickKind() {
    return Kinds()[input_.Byte() % Kinds().size()];
  }
  LocalAllocator& PickAllocator() {
    return *allocators_[input_.Byte() % allocators_.size()];
  }

  // ---- operations ----

  void AllocateMany(const ModelKind& kind, size_t count) {
    LocalAllocator& allocator = PickAllocator();
    for (size_t i = 0; i < count; ++i) {
      if (!Allocate(allocator, kind, kind.type->size)) return;
    }
  }

  void AllocateArrays(size_t most, size_t count) {
    const ModelKind& kind = PickKind();
    LocalAllocator& allocator = PickAllocator();
    for (size_t i = 0; i < count; ++i) {
      if (!Allocate(allocator, kind, kind.type->size + input_.Number(most))) {
        return;
      }
    }
  }

  void AllocateTooMuch() {
    const std::array<size_t, 6> sizes = {
        ~size_t{0},      ~size_t{0} - kBlockSize, size_t{1} << 63,
        Cage::kCapacity, Cage::kCapacity + 1,     max_bytes_ + 1};
    const ModelKind& kind = PickKind();
    const size_t size = sizes[input_.Byte() % sizes.size()];
    if (size < kind.type->size) return;
    ABSL_CHECK(!Allocate(PickAllocator(), kind, size));
  }

  // Returns whether there was room.
  bool Allocate(LocalAllocator& allocator, const ModelKind& kind, size_t size) {
    void* cell =
        size == kind.type->size ? kind.try_allocate(allocator) : nullptr;
    if (cell == nullptr) {
      const absl::StatusOr<void*> slow =
          allocator.AllocateSlow(*kind.type, kind.id, size);
      if (!slow.ok()) {
        CheckRefusal(slow.status(), kind, size);
        return false;
      }
      cell = *slow;
    }
    last_ = static_cast<std::byte*>(cell);
    model_.Add(last_, kind, size);
    return true;
  }

  // The object that was made last, or any.
  void Abandon() {
    const HeapModel::Objects& live = model_.live();
    if (live.empty()) return;
    auto at = live.find(last_);
    if (input_.Byte() % 2 == 0 || at == live.end()) {
      std::byte* first = live.begin()->first;
      at = live.lower_bound(first +
                            input_.Number(live.rbegin()->first - first + 1));
    }
    std::byte* start = at->first;
    model_.Abandon(start);
    allocators_[0]->Abandon(start);
  }

  // A cycle that about `kept` of 256 live objects survive, in a minor one also
  // all that are old.
  void Collect(uint8_t kept, CollectionKind kind) {
    heap_->FinishSweep();
    model_.Swept();
    Check();
    heap_->BeginMark(kind);
    Remember();
    model_.Mark([&](std::byte* start, const HeapModel::Object& object) {
      if (heap_->IsMarked(start)) return true;
      if (object.id * 2654435761U >> 24 > kept) return false;
      BlockDescriptor* block = Cage::DescriptorOf(start);
      const size_t offset = block->OffsetInRun(Cage::OffsetInBlock(start));
      const size_t index = block->CellIndex(offset);
      block->Mark(index, heap_->marks().Found(block->MarkOf(index)));
      return true;
    });
    heap_->FinishMark();
    heap_->EndClearing();
    heap_->StartSweep();
  }

  // Every block is shown once, though some of them are allocated in meanwhile.
  void Remember() {
    absl::flat_hash_set<const BlockDescriptor*> expected;
    heap_->ForEachObject([&expected](const ObjectRef& object) {
      expected.insert(Cage::DescriptorOf(object.start)->first());
    });
    heap_->BeginRemembering();
    absl::flat_hash_set<const BlockDescriptor*> seen;
    std::array<ObjectHeap::BlockToRemember, 4> blocks;
    while (const size_t count = heap_->TakeToRemember(absl::MakeSpan(blocks))) {
      for (size_t i = 0; i < count; ++i) {
        ABSL_CHECK(seen.insert(blocks[i].block).second);
      }
      const ModelKind& kind = PickKind();
      Allocate(*allocators_[0], kind, kind.type->size);
    }
    for (const BlockDescriptor* block : expected) {
      ABSL_CHECK(seen.contains(block));
    }
    for (auto& allocator : allocators_) allocator->Retire();
  }

  // A word that may be anything, and some byte of an object.
  void LookUp() {
    for (auto& allocator : allocators_) allocator->Retire();
    const HeapModel::Objects& live = model_.live();
    if (live.empty()) return;
    const auto word = reinterpret_cast<uintptr_t>(live.begin()->first) +
                      input_.Number(max_bytes_ * 2) - input_.Byte();
    const std::optional<ObjectRef> found = heap_->FindObject(word);
    if (found.has_value()) {
      model_.CheckIsKnown(*found);
      ABSL_CHECK_LT(word - reinterpret_cast<uintptr_t>(found->start),
                    found->size);
    }
    auto at = live.upper_bound(reinterpret_cast<std::byte*>(word));
    if (at == live.begin()) return;
    --at;
    const std::byte* inside = at->first + input_.Number(at->second.size);
    const std::optional<ObjectRef> object =
        heap_->FindObject(reinterpret_cast<uintptr_t>(inside));
    ABSL_CHECK(object.has_value() && object->start == at->first);
    model_.CheckIsKnown(*object);
    HeapModel::CheckContents(at->first, at->second);
  }

  // ---- checks ----

  size_t External() const {
    return static_cast<size_t>(std::max(heap_->memory().external, int64_t{0}));
  }

  // There was no room for the blocks that it would have taken.
  void CheckRefusal(const absl::Status& status, const ModelKind& kind,
                    size_t size) const {
    ABSL_CHECK(absl::IsResourceExhausted(status)) << status;
    if (size > max_bytes_) return;
    const size_t size_class =
        FindSizeClass(size, std::max(kind.type->alignment, size_t{8}));
    const size_t blocks = size_class < kNumSizeClasses
                              ? SizeClassOf(size_class).blocks
                              : (size + kBlockSize - 1) / kBlockSize;
    ABSL_CHECK_GT(heap_->memory().in_use + External() + blocks * kBlockSize,
                  max_bytes_)
        << status;
  }

  void CheckFigures() const {
    const size_t in_use = heap_->memory().in_use;
    const size_t free = heap_->memory().free_resident;
    ABSL_CHECK_LE(in_use, max_bytes_);
    ABSL_CHECK(free == 0 || in_use + free + External() <= max_bytes_);
  }

  void Check() {
    for (auto& allocator : allocators_) allocator->Retire();
    model_.Check(*heap_);
  }

  Input input_;
  const bool checks_each_step_;
  const size_t max_bytes_;
  HeapModel model_;
  std::unique_ptr<ObjectHeap> heap_;
  std::vector<std::optional<LocalAllocator>> allocators_;
  std::byte* last_ = nullptr;
};

}  // namespace
}  // namespace bibop

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bibop::Program(bibop::Input(data, size)).Run();
  return 0;
}
