// Attributes that Abseil has no name for, each empty where the compiler lacks
// it.

#ifndef BIBOP_BASE_ATTRIBUTES_H_
#define BIBOP_BASE_ATTRIBUTES_H_

#include "absl/base/attributes.h"

// Marks a class that points at something it does not own, for the compiler's
// lifetime analysis (P1179, "Lifetime safety: Preventing common dangling").
#if ABSL_HAVE_CPP_ATTRIBUTE(gsl::Pointer)
#define BIBOP_GSL_POINTER [[gsl::Pointer]]
#else
#define BIBOP_GSL_POINTER
#endif

// clang's typestates (-Wconsumed): BIBOP_UNCONSUMED_AT_FIRST is a class whose
// objects have something to give, once; BIBOP_STARTS_UNCONSUMED its
// constructors; BIBOP_CONSUMES a member function that takes it.
#if ABSL_HAVE_CPP_ATTRIBUTE(clang::consumable)
#define BIBOP_UNCONSUMED_AT_FIRST [[clang::consumable(unconsumed)]]
#define BIBOP_STARTS_UNCONSUMED [[clang::return_typestate(unconsumed)]]
#define BIBOP_CONSUMES                             \
  [[clang::callable_when("unconsumed", "unknown"), \
    clang::set_typestate(consumed)]]
#else
#define BIBOP_UNCONSUMED_AT_FIRST
#define BIBOP_STARTS_UNCONSUMED
#define BIBOP_CONSUMES
#endif

#endif  // BIBOP_BASE_ATTRIBUTES_H_
