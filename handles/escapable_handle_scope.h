// EscapableHandleScope: a HandleScope of which one handle may outlive it, for
// functions that return a new object.
//
//   Handle<Pair> MakePair(MutatorBase& mutator) {
//     EscapableHandleScope scope(mutator);
//     Handle<Leaf> leaf = scope.New<Leaf>();
//     return scope.Escape(scope.New<Pair>(leaf));
//   }
//
// The slot for that handle is reserved in the parent scope when this one opens.

#ifndef BIBOP_HANDLES_ESCAPABLE_HANDLE_SCOPE_H_
#define BIBOP_HANDLES_ESCAPABLE_HANDLE_SCOPE_H_

#include <source_location>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/log/absl_check.h"
#include "bibop/base/attributes.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/local_handles.h"
#include "bibop/handles/mutator_base.h"

namespace bibop {
namespace internal {

// A base, so that its slot exists before the scope opens.
class EscapeSlot {
 protected:
  explicit EscapeSlot(MutatorBase& mutator)
      : slot_(mutator.handles().Create(0)) {}

  HandleSlot* slot_;
};

}  // namespace internal

class BIBOP_UNCONSUMED_AT_FIRST EscapableHandleScope
    : private internal::EscapeSlot,
      public HandleScope {
 public:
  // Opens a scope inside of the mutator's innermost one, its parent. There must
  // be one, or nothing could escape: builds with --//:sealed_scopes and checked
  // builds abort otherwise.
  BIBOP_STARTS_UNCONSUMED [[nodiscard]] explicit EscapableHandleScope(
      MutatorBase& mutator ABSL_ATTRIBUTE_LIFETIME_BOUND,
      std::source_location place = std::source_location::current())
      : EscapeSlot(mutator), HandleScope(mutator, place) {
    if constexpr (LocalHandles::kCountsScopes) {
      ABSL_CHECK_GT(mutator.handles().depth(), 1)
          << "an EscapableHandleScope needs a HandleScope around it, to which "
             "its handle escapes";
    }
  }

  // Inlined, so that checked builds know where it is called.
  ABSL_ATTRIBUTE_ALWAYS_INLINE ~EscapableHandleScope() = default;

  // Returns a handle of the same object that is good until the parent scope
  // closes. Works once; a second call aborts. Checked builds abort if the
  // handle is not good now.
  template <class T>
  BIBOP_CONSUMES Handle<T> Escape(Handle<T> handle) & {
    ABSL_CHECK(slot_ != nullptr)
        << "Escape was called twice on one EscapableHandleScope: one handle "
           "escapes from a scope; return an object that refers to several";
    T* object = handle.get();
    HandleSlot* slot = std::exchange(slot_, nullptr);
    *slot = SlotValue(object);
    return internal::HandleAccess::Make(object, TagOfParent(slot));
  }
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_ESCAPABLE_HANDLE_SCOPE_H_
