#include "bibop/runtime/call_program.h"

#include <exception>

#include "absl/functional/function_ref.h"
#include "absl/log/absl_log.h"
#include "absl/strings/string_view.h"

namespace bibop::internal {
namespace {

void LogDropped(absl::string_view name, absl::string_view what) {
  ABSL_LOG(ERROR) << name
                  << " threw an exception, which is dropped: nobody can catch "
                     "what a collection calls: "
                  << what;
}

}  // namespace

void CallProgram(absl::string_view name,
                 absl::FunctionRef<void()> function) noexcept {
  try {
    function();
  } catch (const std::exception& error) {
    LogDropped(name, error.what());
  } catch (...) {
    LogDropped(name, "no std::exception");
  }
}

}  // namespace bibop::internal
