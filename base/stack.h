// What is on the calling thread's stack.

#ifndef BIBOP_BASE_STACK_H_
#define BIBOP_BASE_STACK_H_

namespace bibop {

// Whether `address` is in a frame of the calling thread's stack: of the caller,
// or of one of its callers. Also true where that cannot be known: on a stack
// that the program switched to itself, unless that is part of the thread's, and
// under SafeStack. Any thread may call it.
bool MayBeOnStack(const void* address);

// The end of the calling thread's stack, of the frame of its first function;
// null where that cannot be known. Any thread may call it.
const void* EndOfStack();

}  // namespace bibop

#endif  // BIBOP_BASE_STACK_H_
