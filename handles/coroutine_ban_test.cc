#include "bibop/handles/coroutine_ban.h"

#include <array>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace bibop {

template <class T>
class Root {
 public:
  static constexpr bool kIsScoped = true;
};
class Scope {
 public:
  static constexpr bool kIsScoped = true;
};
class EscapableScope : public Scope {};
class Unscoped {
 public:
  static constexpr bool kIsScoped = false;
};
class Incomplete;
template <class T>
class Listener {
 public:
  void (*callback)(T);
};
template <class T>
constexpr bool kHoldsScoped<Listener<T>> = false;

namespace {

using R = Root<int>;

TEST(CoroutineBanTest, WhatSaysSoIsScopedHoweverItIsReferredTo) {
  static_assert(IsScoped<R>);
  static_assert(IsScoped<const R>);
  static_assert(IsScoped<volatile R>);
  static_assert(IsScoped<R&>);
  static_assert(IsScoped<const R&>);
  static_assert(IsScoped<R&&>);
  static_assert(IsScoped<const R*>);
  static_assert(IsScoped<R* const* const&>);
  static_assert(IsScoped<R[]>);
  static_assert(IsScoped<const R(&)[2][3]>);
  static_assert(IsScoped<Scope&>);
  static_assert(IsScoped<EscapableScope&>);
}

TEST(CoroutineBanTest, WhatHoldsSomethingScopedIsScoped) {
  static_assert(IsScoped<std::optional<R>>);
  static_assert(IsScoped<std::pair<int, R>>);
  static_assert(IsScoped<std::tuple<int, R, std::string>>);
  static_assert(IsScoped<std::variant<std::monostate, R>>);
  static_assert(IsScoped<std::vector<R>>);
  static_assert(IsScoped<const std::vector<R>&>);
  static_assert(IsScoped<std::initializer_list<R>>);
  static_assert(IsScoped<std::array<R, 2>>);
  static_assert(IsScoped<std::span<const R>>);
  static_assert(IsScoped<std::span<R, 2>>);
  static_assert(IsScoped<std::reference_wrapper<Scope>>);
  static_assert(IsScoped<std::unique_ptr<Scope>>);
  static_assert(IsScoped<std::shared_ptr<R>>);
  static_assert(IsScoped<std::map<std::string, std::vector<R>>>);
  static_assert(IsScoped<absl::StatusOr<R>>);
  static_assert(IsScoped<absl::InlinedVector<R, 4>>);
}

TEST(CoroutineBanTest, OtherTypesAreNotScoped) {
  static_assert(!IsScoped<void>);
  static_assert(!IsScoped<int>);
  static_assert(!IsScoped<const char*>);
  static_assert(!IsScoped<Unscoped>);
  static_assert(!IsScoped<Incomplete&>);
  static_assert(!IsScoped<std::vector<std::string>>);
  static_assert(!IsScoped<std::array<int, 2>>);
  static_assert(!IsScoped<absl::StatusOr<std::unique_ptr<Incomplete>>>);
}

// They may be called with a handle, and hold none.
TEST(CoroutineBanTest, AFunctionOfSomethingScopedIsNotScoped) {
  static_assert(!IsScoped<R(R)>);
  static_assert(!IsScoped<void (*)(R)>);
  static_assert(!IsScoped<void (Unscoped::*)(R)>);
  static_assert(!IsScoped<std::function<R(R)>>);
  static_assert(!IsScoped<absl::FunctionRef<void(const R&)>>);
}

TEST(CoroutineBanTest, AClassTemplateCanSayThatItHoldsNothing) {
  static_assert(!IsScoped<Listener<R>>);
  static_assert(!IsScoped<std::vector<Listener<R>>>);
}

}  // namespace
}  // namespace bibop
