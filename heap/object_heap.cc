#include "bibop/heap/object_heap.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/log/absl_check.h"
#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/lock_waits.h"
#include "bibop/heap/marks.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/space.h"
#include "bibop/heap/spaces.h"
#include "bibop/heap/sweep.h"
#include "bibop/heap/type_info.h"

namespace bibop {
namespace {

using internal::sweeping_heap;

// So many blocks are swept before a new one is taken for stores, where old ones
// wait for that.
constexpr size_t kBlocksSweptForStores = 8;
// So many blocks of a space are swept, and found to be full, before a new one
// is taken while there is one: some tens of microseconds, where to sweep all
// that lives long takes milliseconds.
constexpr size_t kMostFullBlocksSwept = 32;
// So many blocks are swept between two looks at the lists, so that those who
// allocate meanwhile find the lock free most of the time.
constexpr size_t kSweepBatch = 16;
constexpr size_t kAllBlocks = std::numeric_limits<size_t>::max();

// The heap whose objects' Traces this thread is calling.
constinit thread_local const ObjectHeap* tracing_heap = nullptr;

// Says that this thread sweeps.
class SweepingScope {
 public:
  explicit SweepingScope(const ObjectHeap* heap)
      : outer_(std::exchange(sweeping_heap, heap)) {}
  SweepingScope(const SweepingScope&) = delete;
  SweepingScope& operator=(const SweepingScope&) = delete;
  ~SweepingScope() { sweeping_heap = outer_; }

 private:
  const ObjectHeap* outer_;
};

// How many marks there were in this process. Numbers only: relaxed.
std::atomic<uint64_t> marks_so_far = 0;

ObjectRef ObjectIn(const BlockDescriptor& block, size_t index) {
  return {Cage::StartOf(block.first()) + index * block.cell_size,
          block.TypeOfCell(index), block.cell_size};
}

}  // namespace

absl::StatusOr<std::unique_ptr<ObjectHeap>> ObjectHeap::Create(
    size_t max_bytes, bool generations) {
  absl::StatusOr<std::unique_ptr<Cage>> cage = Cage::Create(max_bytes);
  if (!cage.ok()) return cage.status();
  return absl::WrapUnique(new ObjectHeap(*std::move(cage), generations));
}

ObjectHeap::ObjectHeap(std::unique_ptr<Cage> cage, bool generations)
    : cage_(std::move(cage)), marks_(generations) {}

void ObjectHeap::DestroyObjects() {
  const SweepingScope scope(this);
  // Nobody else is here, but the destructors may ask for figures.
  mutex_.lock();
  std::vector<BlockDescriptor*> blocks;
  spaces_.ForEachList([&blocks](const Space::List& list) {
    blocks.insert(blocks.end(), list.begin(), list.end());
  });
  mutex_.unlock();
  for (BlockDescriptor* block : blocks) DestroyBlock(*block);
}

void ObjectHeap::AddCounts(AllocationCounts counts) {
  const AllocationCounts before = allocated();
  allocated_objects_.store(before.objects + counts.objects,
                           std::memory_order_relaxed);
  allocated_bytes_.store(before.bytes + counts.bytes,
                         std::memory_order_relaxed);
}

ObjectHeap::TracingScope::TracingScope(const ObjectHeap& heap)
    : outer_(std::exchange(tracing_heap, &heap)) {}

ObjectHeap::TracingScope::~TracingScope() { tracing_heap = outer_; }

void ObjectHeap::CheckMayAllocate() const {
  ABSL_CHECK(tracing_heap != this && sweeping_heap != this)
      << "an object was allocated by a destructor or by a Trace: neither may "
         "allocate";
}

// ---- sweeping ----

void ObjectHeap::NoteSwept(const Space& space, size_t freed_objects) {
  freed_objects_.store(
      this->freed_objects() + static_cast<int64_t>(freed_objects),
      std::memory_order_relaxed);
  if (!space.for_stores) --unswept_objects_;
}

SweepResult ObjectHeap::Sweep(const Space& space, BlockDescriptor& block) {
  ++being_swept_;
  const SweepNumber number = sweep_number_;
  mutex_.unlock();
  SweepResult result;
  {
    const SweepingScope scope(this);
    result = SweepBlock(block, marks_, number);
  }
  lock_waits_.Lock(mutex_);
  NoteSwept(space, result.freed_objects);
  --being_swept_;
  return result;
}

bool ObjectHeap::SweepDead(const Space& space, BlockDescriptor& block) {
  if (!IsDeadUnseen(block, marks_)) return false;
  NoteSwept(space, SweepBlock(block, marks_, sweep_number_).freed_objects);
  return true;
}

size_t ObjectHeap::SweepBatch(Space& space, size_t most) {
  if (!MaySweep(space)) return 0;
  struct Swept {
    BlockDescriptor* block;
    SweepResult found;
  };
  std::array<Swept, kSweepBatch> batch = {};
  size_t count = 0;
  Space::List& unswept = space.LastUnswept();
  for (; count < std::min(most, kSweepBatch) && !unswept.empty(); ++count) {
    batch[count].block = unswept.back();
    unswept.pop_back();
  }
  ++being_swept_;
  const SweepNumber number = sweep_number_;
  mutex_.unlock();
  const absl::Span<Swept> taken = absl::MakeSpan(batch).first(count);
  {
    const SweepingScope scope(this);
    for (Swept& swept : taken) {
      swept.found = SweepBlock(*swept.block, marks_, number);
    }
  }
  mutex_.lock();
  --being_swept_;
  for (const Swept& swept : taken) {
    BlockDescriptor* block = swept.block;
    NoteSwept(space, swept.found.freed_objects);
    if (swept.found.live_objects == 0) {
      cage_->Free(block);
    } else {
      space.AddSwept(block, swept.found);
    }
  }
  return count;
}

size_t ObjectHeap::SweepAny(size_t most) {
  if (!may_sweep_) return 0;
  Space* space = spaces_.NextUnswept(CellsFor::kObjects);
  if (space == nullptr && unswept_objects_ == 0) {
    space = spaces_.NextUnswept(CellsFor::kStores);
  }
  return space == nullptr ? 0 : SweepBatch(*space, most);
}

bool ObjectHeap::SweepSome(size_t most) {
  absl::MutexLock lock(mutex_);
  while (most > 0) {
    size_t swept = SweepAny(most);
    if (swept == 0) {
      // Stores may wait for what others sweep.
      AwaitSweepers();
      swept = SweepAny(most);
      if (swept == 0) return false;
    }
    most -= swept;
  }
  return true;
}

void ObjectHeap::CheckMayCollect() const {
  ABSL_CHECK(tracing_heap != this && sweeping_heap != this)
      << "a collection was asked for by a destructor or by a Trace: neither "
         "may collect";
}

void ObjectHeap::AwaitSweepers() {
  const auto nobody_sweeps = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return being_swept_ == 0;
  };
  mutex_.Await(absl::Condition(&nobody_sweeps));
}

void ObjectHeap::SweepAllLocked() {
  // Stores wait for what others sweep.
  do {
    while (SweepAny(kSweepBatch) != 0) {
    }
    AwaitSweepers();
  } while (SweepAny(kSweepBatch) != 0);
}

void ObjectHeap::SweepAll() {
  CheckMayCollect();
  absl::MutexLock lock(mutex_);
  SweepAllLocked();
}

void ObjectHeap::FinishSweep() {
  CheckMayCollect();
  absl::MutexLock lock(mutex_);
  SweepAllLocked();
  may_sweep_ = false;
}

// ---- the mark ----

void ObjectHeap::BeginMark(CollectionKind kind) {
  // A barrier on a thread that did not know yet that the last mark had finished
  // may have left something.
  while (!mark_queue_.Take().empty()) {
  }
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase() == HeapPhase::kIdle);
  ABSL_CHECK_EQ(being_swept_, 0);
  ABSL_CHECK(!may_sweep_) << "FinishSweep comes before a mark";
  ABSL_CHECK(!spaces_.AnyUnswept())
      << "a mark begins before the sweep of the last one is finished";
  mark_number_.store(marks_so_far.fetch_add(1, std::memory_order_relaxed) + 1,
                     std::memory_order_relaxed);
  kind_ = kind;
  marks_ = marks_.Next(kind);
  birth_mark_.store(marks_.born(), std::memory_order_relaxed);
  phase_.store(HeapPhase::kMarking, std::memory_order_relaxed);
  internal::barrier_word.fetch_add(1, std::memory_order_relaxed);
}

void ObjectHeap::BeginRemembering() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase() == HeapPhase::kMarking);
  spaces_.BeginRemembering();
}

size_t ObjectHeap::TakeToRemember(absl::Span<BlockToRemember> blocks) {
  absl::MutexLock lock(mutex_);
  return spaces_.TakeToRemember(blocks);
}

void ObjectHeap::FinishMark() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase() == HeapPhase::kMarking);
  ABSL_CHECK_EQ(unswept_objects_, 0u);
  unswept_objects_ = spaces_.EndMark(kind_);
  ++sweep_number_;
  phase_.store(HeapPhase::kClearing, std::memory_order_relaxed);
}

void ObjectHeap::EndClearing() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase() == HeapPhase::kClearing);
  phase_.store(HeapPhase::kIdle, std::memory_order_release);
  internal::barrier_word.fetch_sub(1, std::memory_order_release);
}

void ObjectHeap::StartSweep() {
  absl::MutexLock lock(mutex_);
  ABSL_CHECK(phase() == HeapPhase::kIdle);
  // Not before: a weak read that still finds kClearing takes what is not marked
  // for dead.
  birth_mark_.store(kFreshMark, std::memory_order_relaxed);
  may_sweep_ = true;
}

// ---- allocation ----

void ObjectHeap::Ready(BlockDescriptor& block, CellRun cells) {
  ReadyCells(block, cells, birth_mark());
}

BlockDescriptor* ObjectHeap::TakeSwept(Space& space, size_t kind,
                                       uint16_t home) {
  BlockDescriptor* block = space.TakeSwept(kind, home);
  // One that is settled may have been swept for an earlier mark only.
  block->SetSwept(sweep_number_);
  return block;
}

BlockDescriptor* ObjectHeap::TakeWithRoom(Space& space, uint16_t home,
                                          size_t most) {
  for (size_t full = 0;; ++full) {
    const size_t kind = space.NextWithRoom();
    if (kind != Space::kKinds) return TakeSwept(space, kind, home);
    if (!MaySweep(space)) break;
    Space::List* unswept =
        full < most ? &space.NextUnswept() : space.NextUnsweptWithRoom();
    if (unswept == nullptr) break;
    BlockDescriptor* block = Space::TakeUnswept(*unswept, home);
    if (SweepDead(space, *block)) return block;
    const SweepResult found = Sweep(space, *block);
    if (Space::IsOffered(Space::KindOf(*block, found))) return block;
    space.AddSwept(block, found);
  }
  const size_t tight = space.NextTight();
  if (most == kAllBlocks && tight != Space::kKinds) {
    return TakeSwept(space, tight, home);
  }
  return nullptr;
}

void ObjectHeap::NoteFree() {
  idle_bytes_ = std::min(idle_bytes_, cage_->free_resident_bytes());
}

BlockDescriptor* ObjectHeap::TakeReady(Space& space, uint16_t home) {
  const size_t kind = space.NextWithRoom();
  if (kind != Space::kKinds) return TakeSwept(space, kind, home);
  if (!MaySweep(space)) return nullptr;
  Space::List& unswept = space.NextUnswept();
  BlockDescriptor* block = Space::TakeUnswept(unswept, home);
  if (SweepDead(space, *block)) return block;
  unswept.push_back(block);
  return nullptr;
}

absl::StatusOr<size_t> ObjectHeap::AcquireBlocks(
    const TypeInfo& type, TypeId id, uint16_t home, AllocationCounts counts,
    absl::Span<BlockDescriptor* const> full,
    absl::Span<BlockDescriptor*> blocks) {
  const CountingLock lock(mutex_, lock_waits_);
  AddCounts(counts);
  CheckMayAllocate();
  Space& space = spaces_.Uniform(id);
  Space::List& in_use = space.swept[Space::kFull];
  in_use.insert(in_use.end(), full.begin(), full.end());
  size_t count = 0;
  for (BlockDescriptor*& block : blocks) {
    block = count == 0 ? TakeWithRoom(space, home, kMostFullBlocksSwept)
                       : TakeReady(space, home);
    // Another allocator may sweep what is unswept.
    if (block == nullptr && (count == 0 || !MaySweep(space))) {
      absl::StatusOr<BlockDescriptor*> taken =
          cage_->AllocateUniform(type, sweep_number_);
      NoteFree();
      if (taken.ok()) {
        block = *taken;
      } else if (count == 0) {
        block = TakeWithRoom(space, home, kAllBlocks);
        if (block == nullptr) return taken.status();
      }
    }
    if (block == nullptr) break;
    block->home = home;
    ++count;
  }
  return count;
}

void ObjectHeap::ReturnBlocks(TypeId id,
                              absl::Span<BlockDescriptor* const> full,
                              absl::Span<BlockDescriptor* const> available) {
  absl::MutexLock lock(mutex_);
  Space& space = spaces_.Uniform(id);
  Space::List& without = space.swept[Space::kFull];
  without.insert(without.end(), full.begin(), full.end());
  Space::List& with_room = space.swept[Space::kWithRoom];
  with_room.insert(with_room.end(), available.begin(), available.end());
}

absl::StatusOr<MixedCells> ObjectHeap::AcquireCells(CellsFor what,
                                                    size_t size_class,
                                                    size_t most,
                                                    AllocationCounts counts) {
  const CountingLock lock(mutex_, lock_waits_);
  AddCounts(counts);
  CheckMayAllocate();
  Space& space = spaces_.Mixed(what, size_class);
  // What there is to sweep before old stores may be used again is done little
  // by little by those who need new ones.
  size_t help = space.for_stores ? kBlocksSweptForStores : 0;
  size_t most_full = kMostFullBlocksSwept;
  MixedCells found;
  if (!space.returned.empty()) {
    found = space.returned.back();
    space.returned.pop_back();
  }
  while (found.block == nullptr) {
    if (space.current != nullptr) {
      const CellRun run = NextFreeRun(*space.current, space.cursor);
      if (run.first < run.last) {
        found = {space.current,
                 {run.first, std::min(run.last, run.first + most)}};
        space.cursor = found.cells.last;
        break;
      }
      space.current = nullptr;
    }
    BlockDescriptor* block = TakeWithRoom(space, /*home=*/0, most_full);
    // The lock was released: somebody else may have found a block.
    if (space.current != nullptr) {
      if (block != nullptr) space.swept[Space::kWithRoom].push_back(block);
      continue;
    }
    if (block == nullptr && help > 0 && space.AnyUnswept() &&
        SweepAny(1) != 0) {
      --help;
      continue;
    }
    if (block == nullptr) {
      absl::StatusOr<BlockDescriptor*> taken =
          cage_->AllocateMixed(SizeClassOf(size_class), sweep_number_);
      if (!taken.ok()) {
        if (most_full == kAllBlocks) return taken.status();
        most_full = kAllBlocks;
        continue;
      }
      NoteFree();
      block = *taken;
    }
    space.swept[Space::kFull].push_back(block);
    space.current = block;
    space.cursor = 0;
  }
  ABSL_DCHECK_EQ(found.block->swept_number, sweep_number_);  // I-3
  const CellRun run = found.cells;
  if (run.last - run.first > most) {
    found.cells.last = run.first + most;
    space.returned.push_back({found.block, {found.cells.last, run.last}});
  }
  Ready(*found.block, found.cells);
  return found;
}

void ObjectHeap::ReturnCells(CellsFor what, size_t size_class,
                             MixedCells cells) {
  if (cells.cells.first == cells.cells.last) return;
  absl::MutexLock lock(mutex_);
  ClearAllocBits(*cells.block, cells.cells);
  spaces_.Mixed(what, size_class).returned.push_back(cells);
}

absl::StatusOr<void*> ObjectHeap::AllocateSpan(const TypeInfo& type,
                                               size_t size) {
  const CountingLock lock(mutex_, lock_waits_);
  CheckMayAllocate();
  absl::StatusOr<BlockDescriptor*> block =
      cage_->AllocateSpan(type, size, sweep_number_);
  if (!block.ok()) return block.status();
  NoteFree();
  Ready(**block, {0, 1});
  Space& space =
      spaces_.Spans(type.is_store ? CellsFor::kStores : CellsFor::kObjects);
  space.swept[Space::kFull].push_back(*block);
  AddCounts({.objects = 1, .bytes = static_cast<int64_t>((*block)->cell_size)});
  return Cage::StartOf(*block);
}

void ObjectHeap::Abandon(void* cell) {
  BlockDescriptor& block = *Cage::DescriptorOf(cell);
  const size_t index =
      block.CellIndex(block.OffsetInRun(Cage::OffsetInBlock(cell)));
  PoisonFreed(cell, block.cell_size);
  Count({.objects = -1, .bytes = -static_cast<int64_t>(block.cell_size)});
  ClearAllocBits(block, {index, index + 1});
}

void ObjectHeap::Count(AllocationCounts counts) {
  absl::MutexLock lock(mutex_);
  AddCounts(counts);
}

// ---- memory ----

size_t ObjectHeap::ReleaseFreeMemory(size_t bytes) {
  size_t released = 0;
  while (released < bytes) {
    std::optional<BlockRun> run;
    {
      absl::MutexLock lock(mutex_);
      cage_->ReleaseSideRecords();
      run = cage_->TakeResident(bytes - released);
      if (!run.has_value()) break;
      ++being_released_;
    }
    UnlockedCage().DecommitBlocks(*run);
    released += run->count * kBlockSize;
    absl::MutexLock lock(mutex_);
    cage_->ReturnDecommitted(*run);
    --being_released_;
    NoteFree();
  }
  return released;
}

size_t ObjectHeap::TakeIdleBytes() {
  absl::MutexLock lock(mutex_);
  return std::exchange(idle_bytes_, cage_->free_resident_bytes());
}

void ObjectHeap::SetLimit(size_t bytes) {
  absl::MutexLock lock(mutex_);
  cage_->SetLimit(bytes);
  NoteFree();
}

bool ObjectHeap::RaiseLimit(size_t least, size_t bytes, size_t extra) {
  absl::MutexLock lock(mutex_);
  const size_t used = cage_->counted_bytes();
  const size_t most = cage_->max_bytes();
  if (used > most) {
    // External bytes are not refused.
    cage_->SetLimit(most);
    return false;
  }
  if (least > most - used) return false;
  bool raised = bytes <= most - used;
  bytes = std::min(bytes, most - used);
  // Another thread may have raised it already.
  if (cage_->limit() < used + bytes) {
    cage_->SetLimit(used + bytes + std::min(extra, most - used - bytes));
    raised = true;
  }
  const size_t left = cage_->limit() - cage_->bytes_in_use() - bytes;
  if (cage_->external_reserve() > left) {
    cage_->ReserveExternal(left - std::min(left, extra));
    raised = true;
  }
  NoteFree();
  return raised;
}

ObjectHeap::Memory ObjectHeap::memory() const {
  absl::MutexLock lock(mutex_);
  return {.in_use = cage_->bytes_in_use(),
          .committed = cage_->bytes_committed(),
          .free_resident = cage_->free_resident_bytes(),
          .external = cage_->external_bytes(),
          .limit = cage_->limit()};
}

bool ObjectHeap::AdjustExternalBytes(int64_t delta) {
  const CountingLock lock(mutex_, lock_waits_);
  cage_->AdjustExternalBytes(delta);
  NoteFree();
  return IsBeyondSoftLimit();
}

bool ObjectHeap::IsBeyondSoftLimit() const {
  const size_t limit = cage_->limit();
  return limit < cage_->max_bytes() && cage_->counted_bytes() > limit;
}

bool ObjectHeap::ExceedsSoftLimit() const {
  absl::MutexLock lock(mutex_);
  return IsBeyondSoftLimit();
}

void ObjectHeap::ReserveForExternalBytes() {
  absl::MutexLock lock(mutex_);
  const size_t before = cage_->external_reserve();
  cage_->ReserveExternal(
      std::max(cage_->TakeExternalPeak(), before - before / 8));
  NoteFree();
}

// ---- looking at it ----

std::optional<ObjectRef> ObjectHeap::FindObject(uintptr_t word) const
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const BlockDescriptor* block = cage_->FindBlock(word);
  if (block == nullptr) return std::nullopt;
  const size_t offset =
      block->OffsetInRun(Cage::OffsetInBlock(reinterpret_cast<void*>(word)));
  if (offset >= block->cell_size * block->cell_count) return std::nullopt;
  const size_t index = block->CellIndex(offset);
  if (!block->IsAllocated(index)) return std::nullopt;
  return ObjectIn(*block, index);
}

std::optional<ObjectRef> ObjectHeap::FindLiveObject(uintptr_t word) const {
  const auto* address = reinterpret_cast<const void*>(word);
  if (!Contains(address)) return std::nullopt;
  // No block is freed meanwhile.
  absl::MutexLock lock(mutex_);
  const BlockDescriptor* block = cage_->FindBlock(word);
  if (block == nullptr) return std::nullopt;
  // Before the bits: a sweeper, which needs no lock, clears them first.
  const bool swept = block->first()->SweptNumber() == sweep_number_;
  const std::optional<ObjectRef> found = FindObject(word);
  if (!found.has_value() || phase() == HeapPhase::kMarking ||
      IsMarked(address)) {
    return found;
  }
  // What was not marked was born since, or its block is not swept yet.
  return swept ? found : std::nullopt;
}

void ObjectHeap::ForEachObject(absl::FunctionRef<void(ObjectRef)> visit) const
    ABSL_NO_THREAD_SAFETY_ANALYSIS {
  spaces_.ForEachList([visit](const Space::List& list) {
    for (const BlockDescriptor* block : list) {
      for (size_t index = 0; index < block->cell_count; ++index) {
        if (block->IsAllocated(index)) visit(ObjectIn(*block, index));
      }
    }
  });
}

void ObjectHeap::CheckInvariants() const {
  absl::MutexLock lock(mutex_);
  // Such blocks are neither free nor in use.
  const auto nobody_releases = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return being_released_ == 0;
  };
  mutex_.Await(absl::Condition(&nobody_releases));
  cage_->CheckInvariants();
  ABSL_CHECK_EQ(being_swept_, 0);
  absl::flat_hash_set<const BlockDescriptor*> seen;
  size_t bytes = 0;
  const SweepNumber sweep_number = sweep_number_;
  spaces_.ForEach([&](const Space& space) {
    const BlockDescriptor* one = nullptr;
    const auto check = [&](const BlockDescriptor* block) {
      ABSL_CHECK(seen.insert(block).second) << "a block is in two lists";
      ABSL_CHECK(block->kind != BlockKind::kFree);
      if (one == nullptr) one = block;
      ABSL_CHECK(block->kind == one->kind &&
                 (block->kind == BlockKind::kSpan ||
                  block->cell_size == one->cell_size))
          << "a block is in another's space";
      bytes += block->run_bytes();
    };
    for (size_t i = 0; i < Space::kKinds; ++i) {
      for (const BlockDescriptor* block : space.unswept[i]) check(block);
      for (const BlockDescriptor* block : space.swept[i]) {
        check(block);
        ABSL_CHECK(Space::IsSettled(i) || block->swept_number == sweep_number)
            << "I-3";
      }
    }
    for (const MixedCells& cells : space.returned) {
      ABSL_CHECK(seen.contains(cells.block));
      for (size_t i = cells.cells.first; i < cells.cells.last; ++i) {
        ABSL_CHECK(!cells.block->IsAllocated(i)) << "I-2";
      }
    }
  });
  ABSL_CHECK_EQ(bytes, cage_->bytes_in_use()) << "a block is in no list";
}

}  // namespace bibop
