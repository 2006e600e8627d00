#include "bibop/heap/type_info.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <limits>

#include "absl/base/no_destructor.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/log/absl_check.h"
#include "absl/log/absl_log.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace bibop {
namespace {

struct Registry {
  absl::Mutex mutex;
  absl::flat_hash_map<const TypeInfo*, TypeId> ids ABSL_GUARDED_BY(mutex);
};

}  // namespace

namespace internal {

constinit std::array<std::atomic<const TypeInfo*>, 65536> type_table = {};

void ReportThrowingDestructor(absl::string_view type) noexcept {
  ABSL_LOG(ERROR) << "the destructor of a garbage-collected " << type
                  << " threw an exception, which is dropped: nobody can catch "
                     "what the collector runs";
}

}  // namespace internal

TypeId RegisterType(const TypeInfo& info) {
  // Not a global variable: this runs while the program is still being loaded.
  static absl::NoDestructor<Registry> registry;
  absl::MutexLock lock(registry->mutex);
  const size_t next = registry->ids.size() + 1;
  const auto [entry, is_new] =
      registry->ids.try_emplace(&info, static_cast<TypeId>(next));
  ABSL_CHECK(!is_new || next <= std::numeric_limits<TypeId>::max())
      << "a program can have 65,535 garbage-collected types; " << info.name
      << " is one more: fold some of them into one";
  internal::type_table[entry->second].store(&info, std::memory_order_release);
  return entry->second;
}

}  // namespace bibop
