// The target of an HTTP request, "/package/libc6?depth=2", taken apart and
// decoded.
//
// A function of its argument alone: any thread may call it.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_URL_H_
#define BIBOP_EXAMPLES_PKGRAPHD_URL_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace bibop::pkgraphd {

// What a target says, percent escapes decoded. Segments and values are bytes
// that the client chose: any of them, zero and '/' too, may be in them.
struct Target {
  // What is between the slashes. "/" has no segment, "/a/" has "a" and "".
  // "." and ".." are segments like others.
  std::vector<std::string> path;
  // Names and values in their order, '+' as a space. What has no '=' has an
  // empty value; what is empty between two '&' is left out.
  std::vector<std::pair<std::string, std::string>> query;
};

// Each segment and each parameter costs more memory than its bytes.
inline constexpr size_t kMaxTargetParts = 64;

// Takes `target` apart: "/path?query", with "http://host" before it or not, or
// "*", which has neither a path nor a query. InvalidArgument if it is none of
// these, or has a '#', or a '%' without two hexadecimal digits after it, or
// more than kMaxTargetParts segments or parameters.
absl::StatusOr<Target> ParseTarget(std::string_view target);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_URL_H_
