#include "bibop/handles/handle_tag.h"

#include <cstdint>

#include "absl/log/absl_log.h"
#include "bibop/base/stack.h"
#include "bibop/handles/scope_ledger.h"

namespace bibop::internal {

CheckedHandleTag::CheckedHandleTag(const ScopeLedger& ledger,
                                   const ScopeId& scope, const uintptr_t* slot)
    : ledger_(&ledger),
      scope_(scope),
      slot_(slot),
      value_(slot == nullptr ? 0 : *slot) {
  CheckOnStack();
}

CheckedHandleTag::CheckedHandleTag(const CheckedHandleTag& other)
    : ledger_(other.ledger_),
      scope_(other.scope_),
      slot_(other.slot_),
      value_(other.value_) {
  CheckOnStack();
}

CheckedHandleTag& CheckedHandleTag::operator=(const CheckedHandleTag& other) {
  ledger_ = other.ledger_;
  scope_ = other.scope_;
  slot_ = other.slot_;
  value_ = other.value_;
  CheckOnStack();
  return *this;
}

void CheckedHandleTag::CheckUsable() const {
  if (ledger_ == nullptr) return;
  ledger_->CheckUsable(scope_);
  if (slot_ != nullptr && *slot_ != value_) {
    ABSL_LOG(FATAL) << "a handle was used whose slot has been assigned to: it "
                       "came from a MutableHandle, which refers to something "
                       "else now. Take a handle of its own with "
                       "HandleScope::Local. Their scope was opened at "
                    << PlaceOf(scope_.opened) << ", and is open still.";
  }
  CheckOnStack();
}

void CheckedHandleTag::CheckOnStack() const {
  if (ledger_ == nullptr || MayBeOnStack(this)) return;
  ABSL_LOG(FATAL)
      << "a handle is kept at " << this
      << ", which is not on the stack of this thread: in a container, a global "
         "variable, a coroutine, an object that was made with new, or a lambda "
         "that was given to a std::function or a std::thread. Handles are for "
         "the stack; use a Member in a garbage-collected object, else a "
         "Persistent. Its scope was opened at "
      << PlaceOf(scope_.opened) << ".";
}

}  // namespace bibop::internal
