// SealedHandleScope: says that a stretch of code creates no handles in the
// scope around it, and in some builds makes sure of it.
//
// With --//:sealed_scopes, and in checked builds, creating a handle under it
// aborts, unless a HandleScope was opened inside of it. The check is free: the
// seal makes the scope look full, and the slow path tells. In other builds this
// is an empty class.

#ifndef BIBOP_HANDLES_SEALED_HANDLE_SCOPE_H_
#define BIBOP_HANDLES_SEALED_HANDLE_SCOPE_H_

#include <cstddef>
#include <type_traits>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "bibop/base/build_config.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {
namespace internal {

class ActiveSeal {
 protected:
  explicit ActiveSeal(MutatorBase& mutator)
      : handles_(mutator.handles()), before_(handles_.SealScope()) {}
  ~ActiveSeal() { handles_.Unseal(before_); }

 private:
  LocalHandles& handles_;
  LocalHandles::Seal before_;
};

class NoSeal {
 protected:
  explicit NoSeal(MutatorBase& /*mutator*/) {}
};

}  // namespace internal

// Stack only, used by the mutator's thread.
class ABSL_SCOPED_LOCKABLE [[maybe_unused]] SealedHandleScope
    : std::conditional_t<kSealedScopes, internal::ActiveSeal,
                         internal::NoSeal> {
  using Base =
      std::conditional_t<kSealedScopes, internal::ActiveSeal, internal::NoSeal>;

 public:
  static constexpr bool kIsScoped = true;

  // Seals the mutator's innermost scope until this is destroyed.
  [[nodiscard]] explicit SealedHandleScope(MutatorBase& mutator
                                           ABSL_ATTRIBUTE_LIFETIME_BOUND)
      : Base(mutator) {}

  // The same where that scope is in sight: clang then warns where a handle is
  // asked of it (-Wthread-safety). Checked builds abort if it is not the
  // innermost.
  [[nodiscard]] explicit SealedHandleScope(HandleScope& scope
                                           ABSL_ATTRIBUTE_LIFETIME_BOUND)
      ABSL_EXCLUSIVE_LOCK_FUNCTION(scope)
      : Base(internal::ScopeAccess::MutatorOf(scope)) {}

  // Not defaulted: clang would not see the end of the seal.
  // NOLINTNEXTLINE(modernize-use-equals-default)
  ~SealedHandleScope() ABSL_UNLOCK_FUNCTION() {}

  SealedHandleScope(const SealedHandleScope&) = delete;
  SealedHandleScope& operator=(const SealedHandleScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;
};

static_assert(kSealedScopes || std::is_empty_v<SealedHandleScope>);

}  // namespace bibop

#endif  // BIBOP_HANDLES_SEALED_HANDLE_SCOPE_H_
