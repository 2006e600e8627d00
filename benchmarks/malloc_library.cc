#include "bibop/benchmarks/malloc_library.h"

#include <dlfcn.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bibop::benchmarks {
namespace {

constexpr MallocLibrary kLibraries[] = {
    {"glibc", "", "libc6"},
    {"tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"},
    {"jemalloc", "libjemalloc.so.2", "libjemalloc2"},
    {"mimalloc", "libmimalloc.so.2", "libmimalloc2.0"},
};

// The file that this process's malloc is in, without its folder.
absl::string_view FileOfMalloc() {
  // Looked up by name, as other libraries find it: the address of `malloc` in
  // this file might be an entry of the program's own table of calls.
  Dl_info info;
  if (dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) == 0) return "no library";
  const absl::string_view path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

const MallocLibrary& LibraryOf(Malloc malloc) {
  return kLibraries[static_cast<size_t>(malloc)];
}

absl::Status CheckMalloc(Malloc malloc) {
  if (!kCanPreloadMalloc) return absl::OkStatus();
  const MallocLibrary& library = LibraryOf(malloc);
  const absl::string_view file = FileOfMalloc();
  const bool found = malloc == Malloc::kGlibc
                         ? absl::StartsWith(file, "libc.so")
                         : file == library.soname;
  if (found) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("malloc comes from ", file, ", not from ", library.name,
                   ": start with LD_PRELOAD='", library.soname, "'"));
}

}  // namespace bibop::benchmarks
