#include "bibop/runtime/fork_check.h"

#include <pthread.h>

#include <atomic>

#include "absl/log/absl_check.h"
#include "absl/status/status.h"

namespace bibop::internal {
namespace {

// How many forks lie between this process and the one that loaded the program.
// Written by a child's only thread, before others start: relaxed.
std::atomic<int> forks = 0;
// How many heaps this process has, its parent's included: any thread counts
// them. And whether its parent had some: written as the forks are. Relaxed.
std::atomic<int> heaps = 0;
std::atomic<bool> parent_had_heaps = false;

// Whether forks are counted from now on. Without memory for that they are not.
bool CountForks() {
  return pthread_atfork(nullptr, nullptr, [] {
           forks.fetch_add(1, std::memory_order_relaxed);
           if (heaps.load(std::memory_order_relaxed) != 0) {
             parent_had_heaps.store(true, std::memory_order_relaxed);
           }
         }) == 0;
}

int Forks() {
  [[maybe_unused]] static const bool counted = CountForks();
  return forks.load(std::memory_order_relaxed);
}

}  // namespace

ForkCheck::ForkCheck() : forks_(Forks()) {
  heaps.fetch_add(1, std::memory_order_relaxed);
}

ForkCheck::~ForkCheck() { heaps.fetch_sub(1, std::memory_order_relaxed); }

absl::Status ForkCheck::MayMakeHeap() {
  if (!parent_had_heaps.load(std::memory_order_relaxed)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      "this process is the child of a fork, and its parent had heaps, whose "
      "threads may have held locks that a heap needs: let the child call exec "
      "first, or fork before the first heap is made");
}

void ForkCheck::CheckSameProcess() const {
  ABSL_CHECK(Forks() == forks_)
      << "a heap is used in the child of a fork: that may not use its parent's "
         "heaps, nor destroy them; let it call exec or _exit, or fork before "
         "the heap is made";
}

}  // namespace bibop::internal
