// Random indexes for tests, with the edges that they have, so that an answer
// can be held against one found in another way.

#ifndef BIBOP_EXAMPLES_PKGRAPH_RANDOM_INDEX_H_
#define BIBOP_EXAMPLES_PKGRAPH_RANDOM_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bibop::pkgraph {

// An index of packages that depend on each other at random.
struct RandomIndex {
  // Of up to 12 packages, sparse or dense as the seed has it.
  explicit RandomIndex(uint32_t seed);

  // "p" and the number.
  static std::string Name(size_t package);

  std::string text;
  // distance[a][b]: the fewest edges from a to b, kUnreachable if there is no
  // path. Every package is 0 away from itself.
  std::vector<std::vector<size_t>> distance;

  static constexpr size_t kUnreachable = 1000;
};

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_RANDOM_INDEX_H_
