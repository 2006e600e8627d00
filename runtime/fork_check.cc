#include "bibop/runtime/fork_check.h"

#include <pthread.h>

#include <atomic>

#include "absl/log/absl_check.h"

namespace bibop::internal {
namespace {

// How many forks lie between this process and the one that loaded the program.
// Written by a child's only thread, before others start: relaxed.
std::atomic<int> forks = 0;

// Whether forks are counted from now on. Without memory for that they are not.
bool CountForks() {
  return pthread_atfork(nullptr, nullptr, [] {
           forks.fetch_add(1, std::memory_order_relaxed);
         }) == 0;
}

int Forks() {
  [[maybe_unused]] static const bool counted = CountForks();
  return forks.load(std::memory_order_relaxed);
}

}  // namespace

ForkCheck::ForkCheck() : forks_(Forks()) {}

void ForkCheck::CheckSameProcess() const {
  ABSL_CHECK(Forks() == forks_)
      << "a heap is used in the child of a fork: that may not use its parent's "
         "heaps, nor destroy them; let it call exec or _exit, or fork before "
         "the heap is made";
}

}  // namespace bibop::internal
