// BIBOP_STRESS: what stress_options.h says can be asked for in the environment.

#ifndef BIBOP_RUNTIME_STRESS_ENVIRONMENT_H_
#define BIBOP_RUNTIME_STRESS_ENVIRONMENT_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "bibop/runtime/heap_options.h"

namespace bibop {

// Sets what `text`, the value of BIBOP_STRESS, asks for; what it does not
// mention stays. Returns InvalidArgument, with what is wrong and what may be
// there, and `options` unchanged, if it is malformed. Whether numbers are in
// their ranges is for Validate.
absl::Status ApplyStress(absl::string_view text, HeapOptions& options);

// Sets what the environment asks for, if anything, unless `options` say that it
// is to be ignored. Returns what ApplyStress does. Any thread may call it while
// none changes the environment.
absl::Status ApplyStressFromEnvironment(HeapOptions& options);

}  // namespace bibop

#endif  // BIBOP_RUNTIME_STRESS_ENVIRONMENT_H_
