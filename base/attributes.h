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

#endif  // BIBOP_BASE_ATTRIBUTES_H_
