// How a collection calls functions of the program's: HeapOptions::on_cycle_end,
// the hook of a FinalizationRegistry. What they throw is logged and dropped, as
// with destructors: the thread that collects may be one of the heap's, or be in
// an allocation of code that knows nothing of them.

#ifndef BIBOP_RUNTIME_CALL_PROGRAM_H_
#define BIBOP_RUNTIME_CALL_PROGRAM_H_

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace bibop::internal {

// Calls `function`. If it throws, says on the log that `name` has. Any thread
// may call it.
void CallProgram(absl::string_view name,
                 absl::FunctionRef<void()> function) noexcept;

}  // namespace bibop::internal

#endif  // BIBOP_RUNTIME_CALL_PROGRAM_H_
