// Casts of handles down a class hierarchy; up is implicit.
//
// A handle that was cast is good as long as the one that it was made of, and is
// used by the same thread.

#ifndef BIBOP_HANDLES_HANDLE_CAST_H_
#define BIBOP_HANDLES_HANDLE_CAST_H_

#include <type_traits>

#include "bibop/handles/handle.h"
#include "bibop/handles/maybe_handle.h"

namespace bibop {

// A handle of the same object as a `To`, which it has to be: as static_cast
// does with pointers.
template <class To, class From>
  requires requires(From* from) { static_cast<To*>(from); }
Handle<To> static_handle_cast(Handle<From> handle) {
  return internal::HandleAccess::Make(static_cast<To*>(handle.get()),
                                      internal::HandleAccess::TagOf(handle));
}

// The same, or nothing if the object is no `To`: as dynamic_cast does with
// pointers. `From` is polymorphic.
template <class To, class From>
  requires std::is_polymorphic_v<From>
MaybeHandle<To> dynamic_handle_cast(Handle<From> handle) {
  To* object = dynamic_cast<To*>(handle.get());
  if (object == nullptr) return {};
  return internal::HandleAccess::Make(object,
                                      internal::HandleAccess::TagOf(handle));
}

}  // namespace bibop

#endif  // BIBOP_HANDLES_HANDLE_CAST_H_
