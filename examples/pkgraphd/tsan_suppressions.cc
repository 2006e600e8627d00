// Programs that are linked with this file, and built with ThreadSanitizer, do
// without its reports about the counts of Asio's executors: when the last
// reference to one goes, a fence orders that after the others, and the
// sanitizer does not know fences.

#include "absl/base/config.h"

#ifdef ABSL_HAVE_THREAD_SANITIZER
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:asio::execution::detail::shared_target_executor\n";
}
#endif
