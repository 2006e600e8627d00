#include "bibop/examples/pkgraph/random_index.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace bibop::pkgraph {

RandomIndex::RandomIndex(uint32_t seed) {
  std::mt19937 random(seed);
  const size_t count = 1 + random() % 12;
  const size_t sparseness = 1 + random() % 12;
  distance.assign(count, std::vector<size_t>(count, kUnreachable));
  for (size_t from = 0; from < count; ++from) {
    std::string depends;
    for (size_t to = 0; to < count; ++to) {
      if (random() % sparseness != 0) continue;
      distance[from][to] = 1;
      absl::StrAppend(&depends,
                      depends.empty()     ? "Depends: "
                      : random() % 2 == 0 ? ", "
                                          : " | ",
                      Name(to));
    }
    distance[from][from] = 0;
    absl::StrAppend(&text, "Package: ", Name(from),
                    "\nVersion: 1\nArchitecture: all\n", depends,
                    depends.empty() ? "\n" : "\n\n");
  }
  // Floyd and Warshall's algorithm.
  for (size_t via = 0; via < count; ++via) {
    for (size_t from = 0; from < count; ++from) {
      for (size_t to = 0; to < count; ++to) {
        distance[from][to] = std::min(distance[from][to],
                                      distance[from][via] + distance[via][to]);
      }
    }
  }
}

std::string RandomIndex::Name(size_t package) {
  return absl::StrCat("p", package);
}

}  // namespace bibop::pkgraph
