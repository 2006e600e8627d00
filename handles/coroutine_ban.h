// The ban on scoped types in the signature of a coroutine.
//
// What a coroutine is given lives in its frame, which outlives every
// suspension: meanwhile scopes close, in another order than they opened, and
// the coroutine may go on on another thread. So a Handle, a HandleScope, or
// anything else that is bound to a scope of one thread is neither a parameter
// nor the result of a coroutine, and a coroutine that has one does not compile.
// Pass what the handle refers to as a root that belongs to the task, and open a
// HandleScope where it is used, between two suspensions.
//
// A class says that it is scoped by a member:
//
//   static constexpr bool kIsScoped = true;
//
// and so are the classes derived from it.
//
// What the ban does not see: a handle in a class that does not say so, in the
// capture of a lambda, or in `this`.
//
// Stateless; used at compile time only.

#ifndef BIBOP_HANDLES_COROUTINE_BAN_H_
#define BIBOP_HANDLES_COROUTINE_BAN_H_

#include <cstddef>
#include <type_traits>

#if defined(__cpp_impl_coroutine) && __cpp_impl_coroutine >= 201902L
#define BIBOP_HAVE_COROUTINES 1
#include <coroutine>
#endif

namespace bibop {
namespace internal {

template <class T>
concept DeclaresScoped = requires {
  requires bool { T::kIsScoped };
};

template <class T>
consteval bool RefersToScoped();

}  // namespace internal

// Whether a class T is or holds something scoped. A class template is taken to
// hold its type arguments: std::optional<Handle<T>> and std::vector<Handle<T>>
// are scoped. Functions hold nothing: std::function<void(Handle<T>)> is not.
//
// Specialize it for a class template that does not hold its arguments:
//
//   template <class T>
//   constexpr bool bibop::kHoldsScoped<Listener<T>> = false;
template <class T>
constexpr bool kHoldsScoped = internal::DeclaresScoped<T>;
template <template <class...> class C, class... Ts>
constexpr bool kHoldsScoped<C<Ts...>> = internal::DeclaresScoped<C<Ts...>> ||
                                        (internal::RefersToScoped<Ts>() || ...);
// std::array, std::span, and containers that keep some elements in themselves.
template <template <class, size_t, class...> class C, class T, size_t n,
          class... Ts>
constexpr bool kHoldsScoped<C<T, n, Ts...>> =
    internal::DeclaresScoped<C<T, n, Ts...>> || internal::RefersToScoped<T>() ||
    (internal::RefersToScoped<Ts>() || ...);

// Whether T, or what it is a reference, a pointer or an array of, is or holds
// something scoped.
template <class T>
concept IsScoped = internal::RefersToScoped<T>();

namespace internal {

template <class T>
consteval bool RefersToScoped() {
  using Bare =
      std::remove_cv_t<std::remove_all_extents_t<std::remove_reference_t<T>>>;
  if constexpr (std::is_pointer_v<Bare>) {
    return RefersToScoped<std::remove_pointer_t<Bare>>();
  } else {
    return kHoldsScoped<Bare>;
  }
}

#ifdef BIBOP_HAVE_COROUTINES

// The promise of the unconstrained std::coroutine_traits, so that a coroutine
// that is banned has no other errors.
template <class R>
struct PromiseOf {};
template <class R>
  requires requires { typename R::promise_type; }
struct PromiseOf<R> {
  using promise_type = typename R::promise_type;
};

#endif

}  // namespace internal
}  // namespace bibop

#ifdef BIBOP_HAVE_COROUTINES

// `First` is apart so that this is no less special than what a library says of
// its own coroutines, such as coroutine_traits<Task<T>, Args...>. For those
// the compiler says that the two are ambiguous, which bans them as well. Who
// wants this message for them specializes <Task<T>, First, Rest...>
// with this constraint and this base.
template <class R, class First, class... Rest>
  requires(bibop::IsScoped<First> || (bibop::IsScoped<Rest> || ...))
struct std::coroutine_traits<R, First, Rest...>
    : bibop::internal::PromiseOf<R> {
  static_assert(
      !std::is_same_v<R, R>,
      "this coroutine has a parameter that is bound to a HandleScope (a "
      "Handle, "
      "a scope, or what holds one) and would outlive it while the coroutine is "
      "suspended: pass a root that belongs to the task, and open a HandleScope "
      "between two suspensions");
};

template <class R, class... Args>
  requires(bibop::IsScoped<R> && !(bibop::IsScoped<Args> || ...))
struct std::coroutine_traits<R, Args...> : bibop::internal::PromiseOf<R> {
  static_assert(
      !std::is_same_v<R, R>,
      "this coroutine results in something that is bound to a HandleScope (a "
      "Handle, or what holds one), and the scope closes before the result is "
      "used: return a root that belongs to the task");
};

#endif

#endif  // BIBOP_HANDLES_COROUTINE_BAN_H_
