// StackSnapshot: where a thread was when it stopped: which words were on its
// stack and in its registers, and which functions had called each other.
//
// Taken by its thread; read by another while the thread does not return from
// the function that took it, or by any if what has changed since does not
// matter. Words are read as they are, whoever writes them.

#ifndef BIBOP_BASE_STACK_SNAPSHOT_H_
#define BIBOP_BASE_STACK_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

namespace bibop {

class StackSnapshot {
 public:
  // A word, and where it is: on the stack, or null in a register or in the
  // frame of what took the snapshot. `function` is not null where it is in a
  // frame that AddressSanitizer has moved: the beginning of the function.
  struct Word {
    uintptr_t value;
    const void* at;
    const void* function = nullptr;
  };

  // Of no thread: no words.
  StackSnapshot() = default;
  StackSnapshot(const StackSnapshot&) = delete;
  StackSnapshot& operator=(const StackSnapshot&) = delete;

  // Notes where the calling thread is. Takes some microseconds. Notes nothing
  // on a stack that the program switched to itself.
  void Take();

  // Calls `visit` with each word of the stack, from the caller of Take outward,
  // and of the registers. Under AddressSanitizer, which moves variables of
  // functions elsewhere, also with the words there.
  void ForEachWord(absl::FunctionRef<void(Word)> visit) const;

  // The function in whose frame a word is, as far as is known.
  std::string FunctionOf(const Word& word) const;

  // By which the system knows the thread.
  int thread_id() const { return thread_id_; }

 private:
  // A function that had called another, and where its frame begins: at the
  // lowest address.
  struct Frame {
    const void* instruction;
    uintptr_t start;
  };

  // Visits a word, and what is in the moved frame that it refers to, if any.
  void VisitWithMoved(Word word, absl::FunctionRef<void(Word)> visit) const;

  int thread_id_ = 0;
  // What is on the stack: [low_, high_).
  uintptr_t low_ = 0;
  uintptr_t high_ = 0;
  // The innermost first.
  std::vector<Frame> frames_;
  // What was in registers, among other words.
  std::vector<uintptr_t> registers_;
  // By which AddressSanitizer knows the thread's moved variables.
  [[maybe_unused]] void* fake_stack_ = nullptr;
};

}  // namespace bibop

#endif  // BIBOP_BASE_STACK_SNAPSHOT_H_
