// The page /gcz: status_page.html, which is part of the program.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_STATUS_PAGE_H_
#define BIBOP_EXAMPLES_PKGRAPHD_STATUS_PAGE_H_

#include <string_view>

namespace bibop::pkgraphd {

// HTML whose script polls /gcz.json and draws what it gets. It needs nothing
// else.
extern const std::string_view kStatusPage;

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_STATUS_PAGE_H_
