#include "bibop/examples/pkgraph/input.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <istream>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace bibop::pkgraph {

std::filesystem::path Resolve(std::string_view path) {
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (directory == nullptr) return path;
  return std::filesystem::path(directory) / path;  // an absolute path wins
}

absl::Status CannotOpen(std::string_view path, int reason) {
  return absl::ErrnoToStatus(reason,
                             path == kDefaultIndex
                                 ? absl::StrCat(path, " (name another index)")
                                 : std::string(path));
}

absl::StatusOr<Input> Input::Open(std::string_view path) {
  if (path == "-") {
    Input input("standard input");
    input.is_standard_input_ = true;
    return input;
  }
  Input input{std::string(path)};
  const std::filesystem::path resolved = Resolve(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(resolved, ignored)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory"));
  }
  input.file_.open(resolved, std::ios::binary);
  if (!input.file_.is_open()) return CannotOpen(path, errno);
  const auto bytes = std::filesystem::file_size(resolved, ignored);
  if (!ignored) input.size_hint_ = bytes;
  return input;
}

std::istream& Input::stream() { return is_standard_input_ ? std::cin : file_; }

absl::StatusOr<std::string> Input::ReadAll() {
  constexpr size_t kMaxBytes = size_t{1} << 30;
  constexpr size_t kChunkBytes = size_t{1} << 20;
  std::string text;
  // At once: a string that grows by doubling would double the program's peak.
  text.reserve(std::min<uintmax_t>(size_hint_, kMaxBytes) + kChunkBytes);
  size_t size = 0;
  while (true) {
    text.resize(size + kChunkBytes);
    stream().read(text.data() + size, kChunkBytes);
    if (stream().bad()) {
      return absl::DataLossError(absl::StrCat(name_, ": cannot be read"));
    }
    size += static_cast<size_t>(stream().gcount());
    if (stream().gcount() == 0) break;
    if (size > kMaxBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name_, ": longer than ", kMaxBytes, " bytes"));
    }
  }
  text.resize(size);
  return text;
}

}  // namespace bibop::pkgraph
