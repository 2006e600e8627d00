// Where the index comes from: the machine's own, a named file, or standard
// input.
//
// One thread at a time, since standard input is shared.

#ifndef BIBOP_EXAMPLES_PKGRAPH_INPUT_H_
#define BIBOP_EXAMPLES_PKGRAPH_INPUT_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bibop::pkgraph {

// The index of the packages that are installed on a Debian machine.
inline constexpr std::string_view kDefaultIndex = "/var/lib/dpkg/status";

// Where the file `path` is. A relative path starts at $BUILD_WORKING_DIRECTORY,
// where that is set: 'bazel run' changes the directory.
std::filesystem::path Resolve(std::string_view path);

// NotFound or another error: why `path` could not be opened. `reason` is what
// errno was.
absl::Status CannotOpen(std::string_view path, int reason);

// An index that is open for reading. Owns its file, unless that is standard
// input.
class Input {
 public:
  // Opens `path`, "-" being standard input. NotFound or another error with the
  // system's reason if that fails.
  static absl::StatusOr<Input> Open(std::string_view path);

  // What errors call the input.
  const std::string& name() const { return name_; }
  std::istream& stream();

  // The rest of the input. ResourceExhausted if that is more than 1 GiB.
  absl::StatusOr<std::string> ReadAll();

 private:
  explicit Input(std::string name) : name_(std::move(name)) {}

  std::string name_;
  std::ifstream file_;
  uintmax_t size_hint_ = 0;
  bool is_standard_input_ = false;
};

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_INPUT_H_
