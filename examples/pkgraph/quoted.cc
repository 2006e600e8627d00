#include "bibop/examples/pkgraph/quoted.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace bibop::pkgraph {

std::string Quoted(std::string_view text) {
  constexpr size_t kMaxBytes = 60;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxBytes)),
                      text.size() > kMaxBytes ? "...\"" : "\"");
}

}  // namespace bibop::pkgraph
