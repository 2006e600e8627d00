// SideTable: where the side records of blocks lie (see block.h). Records are
// multiples of 64 bytes.
//
// The table is made of chunks of 64 KiB, each cut into records of one size, so
// that a heap takes only what its blocks' cells need. A chunk without a record
// in use serves any size, and can be given back to the operating system.
// Records start at all residues of a page, so equal cells of different blocks
// do not compete for a cache set.
//
// Thread-compatible.
//
// Invariants: a chunk is cut into records, or empty, or behind the frontier;
// partial_[units] has exactly the chunks of that size with a record free and a
// record in use.

#ifndef BIBOP_HEAP_SIDE_TABLE_H_
#define BIBOP_HEAP_SIDE_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bibop/base/virtual_memory.h"

namespace bibop {

class SideTable {
 public:
  // Records are multiples of this many bytes.
  static constexpr size_t kUnit = 64;
  // The most units of a record.
  static constexpr size_t kMaxUnits = 128;

  // REQUIRES: [start, start + capacity) is reserved and nobody else's; `start`
  // is a multiple of a page, `capacity` of 64 KiB.
  SideTable(std::byte* start, size_t capacity);

  // Returns a record of `units`, from 1 to kMaxUnits, with any contents.
  // Returns ResourceExhausted when the table is full or the system has no
  // memory to give.
  absl::StatusOr<std::byte*> Allocate(size_t units);

  // Takes back a record.
  //
  // REQUIRES: Allocate returned it.
  void Free(std::byte* record);

  // Gives the memory of up to `most` empty chunks, 64 KiB each, back to the
  // operating system.
  void ReleaseEmptyChunks(size_t most);

  // The number of bytes that may be read and written.
  size_t committed() const { return frontier_.committed(); }

  // Aborts if an invariant does not hold.
  void CheckInvariants() const;

 private:
  static constexpr size_t kChunkSize = 65536;

  struct Chunk {
    // A bit for each free record.
    std::array<uint64_t, kChunkSize / kUnit / 64> free = {};
    // The size of the records; 0 if the chunk is empty.
    uint16_t units = 0;
    uint16_t used = 0;
    // Where it is in partial_[units].
    uint32_t position = 0;
  };

  static size_t RecordsPerChunk(size_t units) {
    return kChunkSize / (units * kUnit);
  }
  absl::StatusOr<uint32_t> TakeChunk();
  void AddToPartial(uint32_t number);
  void RemoveFromPartial(uint32_t number);

  CommitFrontier frontier_;
  std::vector<Chunk> chunks_;  // those before the frontier
  std::array<std::vector<uint32_t>, kMaxUnits + 1> partial_;
  // Empty chunks: those that may have memory, and those that were given back.
  std::vector<uint32_t> warm_chunks_;
  std::vector<uint32_t> cold_chunks_;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_SIDE_TABLE_H_
