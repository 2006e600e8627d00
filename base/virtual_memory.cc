#include "bibop/base/virtual_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace bibop {
namespace {

void Unmap(std::byte* start, size_t size) {
  if (size == 0) return;
  ABSL_CHECK_EQ(munmap(start, size), 0)
      << "munmap of a range that this process reserved: "
      << std::strerror(errno);
}

}  // namespace

void Decommit(std::byte* start, size_t size) {
  // EINVAL: mlockall.
  ABSL_CHECK(madvise(start, size, MADV_DONTNEED) == 0 || errno == EINVAL)
      << "madvise of a range that this process committed: "
      << std::strerror(errno);
}

absl::StatusOr<std::byte*> MapSparse(size_t size) {
  void* mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot map ", size >> 20,
                     " MiB of address space: ", std::strerror(errno)));
  }
  // Advice, which a system may not know.
  madvise(mapped, size, MADV_NOHUGEPAGE);
  madvise(mapped, size, MADV_DONTDUMP);
  return static_cast<std::byte*>(mapped);
}

absl::StatusOr<VirtualRange> VirtualRange::Reserve(size_t size,
                                                   size_t alignment) {
  // The system aligns to pages only: take so much that an aligned range lies
  // within, and give the rest back.
  const size_t padded = size + alignment;
  void* mapped = mmap(nullptr, padded, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot reserve ", padded >> 20,
                     " MiB of address space: ", std::strerror(errno),
                     " (a limit such as RLIMIT_AS? a smaller cage is "
                     "--//:cage_size=4GiB)"));
  }
  auto* first = static_cast<std::byte*>(mapped);
  const size_t misalignment =
      reinterpret_cast<uintptr_t>(first) & (alignment - 1);
  const size_t head = misalignment == 0 ? 0 : alignment - misalignment;
  Unmap(first, head);
  Unmap(first + head + size, padded - head - size);
  return VirtualRange(first + head, size);
}

VirtualRange::~VirtualRange() { Unmap(start_, size_); }

absl::Status CommitFrontier::Commit(size_t size) {
  if (size > capacity_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the heap's address space is used up (", capacity_ >> 20,
                     " MiB; --//:cage_size sets it)"));
  }
  const size_t target = std::min(capacity_, (size + step_ - 1) / step_ * step_);
  if (mprotect(start_ + committed_, target - committed_,
               PROT_READ | PROT_WRITE) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the system has no memory for ", (target - committed_) >> 10,
        " KiB more of heap: ", std::strerror(errno)));
  }
  // Advice: a system without huge pages refuses it, which is no error.
  if (pages_ == Pages::kHuge) {
    madvise(start_ + committed_, target - committed_, MADV_HUGEPAGE);
  }
  committed_ = target;
  return absl::OkStatus();
}

}  // namespace bibop
