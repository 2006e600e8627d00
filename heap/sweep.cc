#include "bibop/heap/sweep.h"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/marks.h"

namespace bibop {
namespace {

// For each of 64 mark bytes one bit: whether it equals `expected`, but for the
// bits that are not in `looked_at`. Eight bytes a step, in a general register.
uint64_t EqualBits(const uint8_t* marks, MarkByte expected,
                   MarkByte looked_at) {
  constexpr uint64_t kEachByte = 0x0101010101010101;
  constexpr uint64_t kLow7 = 0x7f * kEachByte;
  // Bit 8 i of the factor's operand lands at bit 56 + i.
  constexpr uint64_t kGather = 0x0102040810204080;
  uint64_t bits = 0;
  for (size_t i = 0; i < 8; ++i) {
    uint64_t bytes;
    std::memcpy(&bytes, marks + 8 * i, 8);
    const uint64_t differing =
        (bytes ^ (expected * kEachByte)) & (looked_at * kEachByte);
    // 0x80 in each byte that is zero, exactly.
    const uint64_t equal = ~(((differing & kLow7) + kLow7) | differing | kLow7);
    bits |= ((equal >> 7) * kGather >> 56) << (8 * i);
  }
  return bits;
}
static_assert(std::endian::native == std::endian::little,
              "EqualBits takes the first mark byte for the lowest");

// Ends the lives of the objects in the cells whose bits are set in `dead`, of
// the 64 that begin with number `first`.
void Destroy(const BlockDescriptor& block, size_t first, uint64_t dead) {
  std::byte* start = Cage::StartOf(&block);
  for (; dead != 0; dead &= dead - 1) {
    const size_t index = first + std::countr_zero(dead);
    std::byte* cell = start + index * block.cell_size;
    const TypeInfo::DestroyFn destroy = block.TypeOfCell(index)->destroy;
    if (destroy != nullptr) destroy(cell);
    PoisonFreed(cell, block.cell_size);
  }
}

// Whether nothing has to be done for a dead object.
bool DiesUnseen(const BlockDescriptor& block) {
  return !PoisonsFreedMemory() && block.type != nullptr &&
         block.type->destroy == nullptr;
}

// Most words have all bits set or none, and not every processor that a program
// may run on counts bits by an instruction.
size_t Count(uint64_t bits) {
  if (bits == 0) return 0;
  return bits == ~uint64_t{0} ? 64 : std::popcount(bits);
}

// Ends the lives of all objects in the block and returns their number. None is
// in construction, so nobody else clears bits.
size_t ClearBlock(BlockDescriptor& block, bool unseen) {
  size_t count = 0;
  for (size_t word = 0; word < block.alloc_words(); ++word) {
    // Atomic, for conservative look-ups may read it.
    const std::atomic_ref bits(block.alloc_bits[word]);
    const uint64_t dead = bits.load(std::memory_order_acquire);
    bits.store(0, std::memory_order_release);
    count += Count(dead);
    if (!unseen) Destroy(block, 64 * word, dead);
  }
  return count;
}

}  // namespace

bool IsDeadUnseen(const BlockDescriptor& block, const Marks& marks) {
  return block.marked_epoch != marks.old() && DiesUnseen(block);
}

SweepResult SweepBlock(BlockDescriptor& block, const Marks& marks,
                       SweepNumber number) {
  // Epochs come again: a block that remembers to have told the first one of its
  // run would be believed.
  for (uint32_t i = 1; i < block.run_blocks; ++i) {
    (&block + i)->marked_epoch = 0;
  }
  SweepResult result;
  const bool unseen = DiesUnseen(block);
  if (block.marked_epoch != marks.old()) {
    result.freed_objects = ClearBlock(block, unseen);
    block.SetSwept(number);
    return result;
  }
  bool any_old = false;
  for (size_t word = 0; word < block.alloc_words(); ++word) {
    const uint64_t allocated =
        std::atomic_ref(block.alloc_bits[word]).load(std::memory_order_acquire);
    const uint64_t live = allocated & EqualBits(block.marks + 64 * word,
                                                marks.old(), marks.differs());
    if (marks.generations()) {
      const uint64_t old =
          live & EqualBits(block.marks + 64 * word, marks.old(), 0xff);
      any_old |= old != 0;
      result.any_young |= old != live;
    }
    const uint64_t dead = allocated & ~live;
    result.live_objects += Count(live);
    result.freed_objects += Count(dead);
    if (dead == 0) continue;
    // Before the destructors, so that an object is gone for everyone when its
    // destructor runs. Atomic, for the constructor of an object in another
    // cell may throw at the same time, which clears its bit.
    std::atomic_ref(block.alloc_bits[word])
        .fetch_and(~dead, std::memory_order_relaxed);
    if (!unseen) Destroy(block, 64 * word, dead);
  }
  // So that the next minor mark may find that nothing in it is alive.
  if (result.any_young && !any_old) block.marked_epoch = 0;
  block.SetSwept(number);
  return result;
}

void DestroyBlock(BlockDescriptor& block) {
  ClearBlock(block, DiesUnseen(block));
}

}  // namespace bibop
