#include "bibop/heap/sweep.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bibop/base/poison.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"

namespace bibop {
namespace {

// For each of 64 mark bytes one bit: whether it equals `epoch`. Eight bytes a
// step, in a general register.
uint64_t LiveBits(const uint8_t* marks, Epoch epoch) {
  constexpr uint64_t kEachByte = 0x0101010101010101;
  constexpr uint64_t kLow7 = 0x7f * kEachByte;
  // Bit 8 i of the factor's operand lands at bit 56 + i.
  constexpr uint64_t kGather = 0x0102040810204080;
  uint64_t live = 0;
  for (size_t i = 0; i < 8; ++i) {
    uint64_t bytes;
    std::memcpy(&bytes, marks + 8 * i, 8);
    const uint64_t differing = bytes ^ (epoch * kEachByte);
    // 0x80 in each byte that is zero, exactly.
    const uint64_t equal = ~(((differing & kLow7) + kLow7) | differing | kLow7);
    live |= ((equal >> 7) * kGather >> 56) << (8 * i);
  }
  return live;
}
static_assert(std::endian::native == std::endian::little,
              "LiveBits takes the first mark byte for the lowest");

// Ends the lives of the objects in the cells whose bits are set in `dead`, of
// the 64 that begin with number `first`.
void Destroy(const BlockDescriptor& block, size_t first, uint64_t dead) {
  const TypeInfo::DestroyFn destroy = block.type->destroy;
  if (destroy == nullptr && !kPoisonsFreedMemory) return;
  std::byte* start = Cage::StartOf(&block);
  for (; dead != 0; dead &= dead - 1) {
    const size_t index = first + std::countr_zero(dead);
    std::byte* cell = start + index * block.cell_size;
    if (destroy != nullptr) destroy(cell);
    PoisonFreed(cell, block.cell_size);
  }
}

}  // namespace

SweepResult SweepBlock(BlockDescriptor& block, Epoch epoch) {
  SweepResult result = {0, 0};
  for (size_t word = 0; word < block.alloc_words(); ++word) {
    const uint64_t allocated = block.alloc_bits[word];
    const uint64_t live = allocated & LiveBits(block.marks + 64 * word, epoch);
    const uint64_t dead = allocated & ~live;
    result.live_objects += std::popcount(live);
    result.freed_objects += std::popcount(dead);
    if (dead == 0) continue;
    // First, so that an object is gone for everyone when its destructor runs.
    block.alloc_bits[word] = live;
    Destroy(block, 64 * word, dead);
  }
  block.swept_epoch = epoch;
  return result;
}

void DestroyBlock(BlockDescriptor& block) {
  for (size_t word = 0; word < block.alloc_words(); ++word) {
    const uint64_t dead = block.alloc_bits[word];
    block.alloc_bits[word] = 0;
    Destroy(block, 64 * word, dead);
  }
}

}  // namespace bibop
