// A request as a handler sees it.
//
// A value: whoever has it owns it.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_REQUEST_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_REQUEST_H_

#include <string>
#include <utility>
#include <vector>

namespace bibop::pkgraphd {

// One request, complete with its body. url.h says how `path` and `query` come
// from `target`.
struct HttpRequest {
  // "GET"
  std::string method;
  // As it was sent.
  std::string target;
  // The decoded segments of the path: {"package", "libc6"}.
  std::vector<std::string> path;
  // The decoded parameters, in their order.
  std::vector<std::pair<std::string, std::string>> query;
  std::string body;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_REQUEST_H_
