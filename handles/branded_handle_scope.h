// WithHandleScope: a HandleScope whose handles cannot leave it, proved by the
// compiler, whichever that is.
//
//   const int sum = WithHandleScope(mutator, [&](auto& scope) {
//     auto node = scope.template New<Node>(1);   // a BrandedHandle
//     return node->value + Sum(scope, node);
//   });
//
// The type of its handles names the lambda that they are made in. So they fit
// into no variable outside of it, no other scope makes or takes them, and none
// is returned, in an std::optional and the like neither. What hides the type
// hides the handle: a lambda that captures one may be returned or stored, and a
// class of the lambda's own. A function that is to be passed one
// is a template, `template <class Brand> int Sum(BrandedHandle<Node, Brand>)`;
// one that takes a Handle is passed `node.ToHandle()`, with which the proof
// ends.
//
// The brand is the lambda's: a lambda that opens itself a second time inside
// of itself shares it with itself.
//
// Used as the other scopes and handles are; the name is after the branded types
// of Kiselyov and Shan, "Lightweight static capabilities", 2006.

#ifndef BIBOP_HANDLES_BRANDED_HANDLE_SCOPE_H_
#define BIBOP_HANDLES_BRANDED_HANDLE_SCOPE_H_

#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "bibop/base/attributes.h"
#include "bibop/handles/array.h"
#include "bibop/handles/capabilities.h"
#include "bibop/handles/coroutine_ban.h"  // IWYU pragma: export
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/object_reference.h"

namespace bibop {

template <class Brand>
class BrandedHandleScope;

// A Handle<T> that was made in the scope that Brand stands for.
template <class T, class Brand>
class BIBOP_GSL_POINTER BrandedHandle {
 public:
  using element_type = T;
  static constexpr bool kIsObjectReference = true;
  static constexpr bool kIsScoped = true;

  // A handle of the same object as one of its bases.
  template <class U>
    requires(std::convertible_to<U*, T*>)
  // NOLINTNEXTLINE(google-explicit-constructor): like a pointer
  BrandedHandle(BrandedHandle<U, Brand> other) : handle_(other.handle_) {}

  // The object; never null. The pointer itself keeps nothing alive.
  T* get() const { return handle_.get(); }
  T* operator->() const { return get(); }
  T& operator*() const { return *get(); }

  // A handle is never null, so there is nothing to test.
  explicit operator bool() const = delete;

  // The same without a brand, for a function that takes a Handle. Where it goes
  // from there the compiler no longer proves.
  Handle<T> ToHandle() const { return handle_; }

  template <class H>
  friend H AbslHashValue(H state, const BrandedHandle& handle) {
    return H::combine(std::move(state), handle.handle_);
  }

 private:
  template <class U, class B>
  friend class BrandedHandle;
  template <class B>
  friend class BrandedHandleScope;

  explicit BrandedHandle(Handle<T> handle) : handle_(handle) {}

  Handle<T> handle_;
};

// The scope that WithHandleScope passes to its function. Its functions do what
// those of HandleScope do.
template <class Brand>
class BrandedHandleScope {
 public:
  static constexpr bool kIsScoped = true;

  BrandedHandleScope(const BrandedHandleScope&) = delete;
  BrandedHandleScope& operator=(const BrandedHandleScope&) = delete;
  static void* operator new(size_t) = delete;
  static void* operator new[](size_t) = delete;
  // Inlined, so that checked builds know where it is called.
  ABSL_ATTRIBUTE_ALWAYS_INLINE ~BrandedHandleScope() = default;

  template <class T, class... Args>
  BrandedHandle<T, Brand> New(Args&&... args)
      ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    return BrandedHandle<T, Brand>(
        scope_.template New<T>(std::forward<Args>(args)...));
  }
  template <class T, class... Args>
  absl::StatusOr<BrandedHandle<T, Brand>> TryNew(Args&&... args)
      ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    return Branded(scope_.template TryNew<T>(std::forward<Args>(args)...));
  }
  template <class T>
  BrandedHandle<Array<T>, Brand> NewArray(size_t size)
      ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    return BrandedHandle<Array<T>, Brand>(scope_.template NewArray<T>(size));
  }
  template <class T>
  absl::StatusOr<BrandedHandle<Array<T>, Brand>> TryNewArray(size_t size)
      ABSL_LOCKS_EXCLUDED(internal::no_gc) {
    return Branded(scope_.template TryNewArray<T>(size));
  }

  // A handle of what `source` refers to now; nothing if it refers to nothing.
  template <ObjectReference R>
  std::optional<BrandedHandle<typename R::element_type, Brand>> Local(
      const R& source) {
    const MaybeHandle<typename R::element_type> local = scope_.Local(source);
    if (local.IsEmpty()) return std::nullopt;
    return BrandedHandle<typename R::element_type, Brand>(
        local.ToHandleChecked());
  }

 private:
  template <class F>
  friend decltype(auto) WithHandleScope(MutatorBase& mutator, F&& function,
                                        std::source_location place);

  BrandedHandleScope(MutatorBase& mutator, std::source_location place)
      : scope_(mutator, place) {}

  template <class T>
  static absl::StatusOr<BrandedHandle<T, Brand>> Branded(
      absl::StatusOr<Handle<T>> handle) {
    if (!handle.ok()) return handle.status();
    return BrandedHandle<T, Brand>(*handle);
  }

  HandleScope scope_;
};

// Calls `function` with a scope that is open meanwhile, and returns what it
// returns, which may be nothing with a handle or a scope in it. Used by the
// mutator's thread, which is running.
template <class F>
decltype(auto) WithHandleScope(
    MutatorBase& mutator, F&& function,
    std::source_location place = std::source_location::current()) {
  using Scope = BrandedHandleScope<std::remove_cvref_t<F>>;
  static_assert(
      !std::is_function_v<std::remove_pointer_t<std::remove_cvref_t<F>>>,
      "WithHandleScope is passed a lambda: its type is the brand");
  using Result = std::invoke_result_t<F, Scope&>;
  static_assert(!IsScoped<Result>,
                "a handle would leave its scope: return what it refers to by "
                "value, or use an EscapableHandleScope");
  Scope scope(mutator, place);
  return std::invoke(std::forward<F>(function), scope);
}

}  // namespace bibop

#endif  // BIBOP_HANDLES_BRANDED_HANDLE_SCOPE_H_
