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

#include <utility>

#include "absl/log/absl_check.h"
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

class EscapableHandleScope : private internal::EscapeSlot, public HandleScope {
 public:
  // Opens a scope inside of the mutator's innermost one, its parent. There must
  // be one, or nothing could escape: builds with --//:sealed_scopes and checked
  // builds abort otherwise.
  [[nodiscard]] explicit EscapableHandleScope(MutatorBase& mutator
                                              ABSL_ATTRIBUTE_LIFETIME_BOUND)
      : EscapeSlot(mutator), HandleScope(mutator) {
    if constexpr (LocalHandles::kCountsScopes) {
      ABSL_CHECK_GT(mutator.handles().depth(), 1)
          << "an EscapableHandleScope needs a HandleScope around it, to which "
             "its handle escapes";
    }
  }

  // Returns a handle of the same object that is good until the parent scope
  // closes. Works once; a second call aborts.
  template <class T>
  Handle<T> Escape(Handle<T> handle) & {
    ABSL_CHECK(slot_ != nullptr)
        << "Escape was called twice on one EscapableHandleScope: one handle "
           "escapes from a scope; return an object that refers to several";
    *std::exchange(slot_, nullptr) = SlotValue(handle.get());
    return Handle<T>(handle.get());
  }
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_ESCAPABLE_HANDLE_SCOPE_H_
