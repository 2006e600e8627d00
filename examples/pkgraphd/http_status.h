// HTTP's status codes in words.
//
// A function of its argument alone: any thread may call it.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_STATUS_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_STATUS_H_

#include <string_view>

namespace bibop::pkgraphd {

// "Not Found" for 404; "Unknown" for a code that it does not know.
std::string_view HttpStatusText(int status);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_STATUS_H_
