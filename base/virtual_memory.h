// Address space from the operating system: reserved as a whole, committed (made
// readable and writable) from its start as it is needed.
//
// A VirtualRange owns its reservation and returns it when destroyed. A
// CommitFrontier is a part of a range, owned by somebody else, of which only a
// prefix is committed.
//
// Neither class is synchronized: callers serialize.

#ifndef BIBOP_BASE_VIRTUAL_MEMORY_H_
#define BIBOP_BASE_VIRTUAL_MEMORY_H_

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bibop {

// Gives the memory of [start, start + size) back to the operating system. The
// range stays readable and writable; it reads as zero when next touched. Memory
// that the process has locked stays, and what is in it.
//
// REQUIRES: the range is committed; both are multiples of the page size.
void Decommit(std::byte* start, size_t size);

// Maps `size` bytes that can be written and read as zero, for as long as the
// process exists. Each page takes memory from its first write on; huge pages
// are not used, and core dumps leave it out. Returns ResourceExhausted where
// the system refuses (a small RLIMIT_AS, or a system that overcommits no
// memory).
//
// REQUIRES: `size` is a multiple of the page size.
absl::StatusOr<std::byte*> MapSparse(size_t size);

// A reservation of address space.
class VirtualRange {
 public:
  // Reserves `size` bytes at a multiple of `alignment`, inaccessible until they
  // are committed. Returns ResourceExhausted where the system refuses, with the
  // system's reason (a small RLIMIT_AS, most often).
  //
  // REQUIRES: `size` and `alignment` are multiples of the page size,
  // `alignment` is a power of two.
  static absl::StatusOr<VirtualRange> Reserve(size_t size, size_t alignment);

  VirtualRange(VirtualRange&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  VirtualRange& operator=(VirtualRange&&) = delete;
  VirtualRange(const VirtualRange&) = delete;
  VirtualRange& operator=(const VirtualRange&) = delete;
  ~VirtualRange();

  // The first byte.
  std::byte* start() const { return start_; }
  // The number of bytes.
  size_t size() const { return size_; }

 private:
  VirtualRange(std::byte* start, size_t size) : start_(start), size_(size) {}

  std::byte* start_;
  size_t size_;
};

// A part of a reservation that is committed from its start on.
//
// Invariants: committed() <= capacity(), and both are multiples of `step`.
class CommitFrontier {
 public:
  // Whether the system should back the memory by huge pages where it has them:
  // touching it for the first time is faster then, and takes 2 MiB at a time.
  enum class Pages { kNormal, kHuge };

  // `step`: how many bytes are committed at once, a multiple of the page size.
  //
  // REQUIRES: [start, start + capacity) is reserved and nobody else commits it.
  CommitFrontier(std::byte* start, size_t capacity, size_t step,
                 Pages pages = Pages::kNormal)
      : start_(start), capacity_(capacity), step_(step), pages_(pages) {}

  // Makes the first `size` bytes readable and writable; new ones read as zero.
  // Returns ResourceExhausted, with nothing changed, beyond the capacity or
  // where the system has no memory to give.
  absl::Status EnsureCommitted(size_t size) {
    if (size <= committed_) [[likely]]
      return absl::OkStatus();
    return Commit(size);
  }

  // The first byte.
  std::byte* start() const { return start_; }
  // The number of bytes that are readable and writable.
  size_t committed() const { return committed_; }
  // The number of bytes that can become so.
  size_t capacity() const { return capacity_; }

 private:
  absl::Status Commit(size_t size);

  std::byte* start_;
  size_t capacity_;
  size_t step_;
  Pages pages_;
  size_t committed_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_BASE_VIRTUAL_MEMORY_H_
