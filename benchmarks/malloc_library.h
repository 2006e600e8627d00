// The mallocs that a contestant may run on, and which one this process has.
//
// The programs here are linked with the C library's malloc. The others take its
// place when the program is started with LD_PRELOAD naming their library. The
// dynamic linker only warns where it finds no such library, and goes on with
// the C library's malloc: CheckMalloc tells.
//
// Any thread may call these functions.

#ifndef BIBOP_BENCHMARKS_MALLOC_LIBRARY_H_
#define BIBOP_BENCHMARKS_MALLOC_LIBRARY_H_

#include "absl/base/config.h"
#include "absl/status/status.h"

namespace bibop::benchmarks {

// A malloc; glibc's is the one that needs no preloading.
enum class Malloc { kGlibc, kTcmalloc, kJemalloc, kMimalloc };

// Where a malloc comes from.
struct MallocLibrary {
  const char* name;
  // What LD_PRELOAD is set to, to be found on the linker's path; empty for
  // glibc.
  const char* soname;
  // The Debian package to install where the library is missing.
  const char* package;
};

// Returns where `malloc` comes from.
const MallocLibrary& LibraryOf(Malloc malloc);

// Whether another malloc can be preloaded at all: a sanitizer's runtime brings
// its own, which has to stay.
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) ||   \
    defined(ABSL_HAVE_HWADDRESS_SANITIZER) || \
    defined(ABSL_HAVE_LEAK_SANITIZER) ||      \
    defined(ABSL_HAVE_MEMORY_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
inline constexpr bool kCanPreloadMalloc = false;
#else
inline constexpr bool kCanPreloadMalloc = true;
#endif

// Returns NotFound, and says which library this process's malloc is in, if that
// is not the library of `malloc`. Always OK where kCanPreloadMalloc is false.
absl::Status CheckMalloc(Malloc malloc);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_MALLOC_LIBRARY_H_
