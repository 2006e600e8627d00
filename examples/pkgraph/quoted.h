// How an error message quotes input.
//
// A function of its argument alone: any thread may call it.

#ifndef BIBOP_EXAMPLES_PKGRAPH_QUOTED_H_
#define BIBOP_EXAMPLES_PKGRAPH_QUOTED_H_

#include <string>
#include <string_view>

namespace bibop::pkgraph {

// `text` in quotation marks, cut after 60 bytes, with whatever a terminal could
// take for a command escaped: it may come from a hostile file.
std::string Quoted(std::string_view text);

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_QUOTED_H_
