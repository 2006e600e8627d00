// What becomes of heaps in the child of a fork: nothing. The threads that
// collect exist in the parent only, and what they were doing, and which locks
// they held, nobody knows. So in a child each function of a heap or a mutator
// that would need them aborts with a sentence; a child that only calls exec, or
// _exit, is not disturbed. Nor can a child make heaps of its own if its parent
// had some: the locks may be those of the libraries that heaps use.

#ifndef BIBOP_RUNTIME_FORK_CHECK_H_
#define BIBOP_RUNTIME_FORK_CHECK_H_

#include "absl/status/status.h"

namespace bibop::internal {

// The process in which it was made. Any thread may use it.
class ForkCheck {
 public:
  ForkCheck();
  ForkCheck(const ForkCheck&) = delete;
  ForkCheck& operator=(const ForkCheck&) = delete;
  ~ForkCheck();

  // Returns FailedPrecondition in the child of a process that had heaps.
  static absl::Status MayMakeHeap();

  // Aborts in another process.
  void CheckSameProcess() const;

 private:
  const int forks_;
};

}  // namespace bibop::internal

#endif  // BIBOP_RUNTIME_FORK_CHECK_H_
