// What a handle knows besides its object: nothing, or in checked builds its
// slot and its scope, so that a use that is a mistake aborts and says which.
//
// A value; a part of a handle, used as that is.

#ifndef BIBOP_HANDLES_HANDLE_TAG_H_
#define BIBOP_HANDLES_HANDLE_TAG_H_

#include <cstdint>
#include <type_traits>

#include "bibop/base/build_config.h"
#include "bibop/handles/scope_ledger.h"

namespace bibop::internal {

// In builds that check nothing.
struct NoHandleTag {
  void CheckUsable() const {}
  NoHandleTag WithSlot(const uintptr_t* /*slot*/) const { return {}; }
};

class CheckedHandleTag {
 public:
  // That of a handle of no object, which is not used.
  CheckedHandleTag() = default;

  // That of a handle in `scope`, as long as `*slot` is what it is; or whatever
  // that is, if `slot` is null. Aborts if this tag, and so its handle, is not
  // on the stack; copies do, too.
  CheckedHandleTag(const ScopeLedger& ledger, const ScopeId& scope,
                   const uintptr_t* slot);
  CheckedHandleTag(const CheckedHandleTag& other);
  CheckedHandleTag& operator=(const CheckedHandleTag& other);
  ~CheckedHandleTag() = default;

  // Aborts unless the handle may be used: its scope is open and its slot is
  // unchanged, this is its thread, which is running, and it is on its stack.
  void CheckUsable() const;

  // That of a handle of the same scope, as long as `*slot` is what it is.
  CheckedHandleTag WithSlot(const uintptr_t* slot) const {
    return CheckedHandleTag(*ledger_, scope_, slot);
  }

 private:
  void CheckOnStack() const;

  const ScopeLedger* ledger_ = nullptr;
  ScopeId scope_;
  const uintptr_t* slot_ = nullptr;
  uintptr_t value_ = 0;
};

using HandleTag =
    std::conditional_t<kCheckedHandles, CheckedHandleTag, NoHandleTag>;

}  // namespace bibop::internal

#endif  // BIBOP_HANDLES_HANDLE_TAG_H_
