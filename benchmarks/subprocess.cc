#include "bibop/benchmarks/subprocess.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace bibop::benchmarks {
namespace {

// Takes what a process writes. Not a pipe: nobody has to read while it runs,
// and whatever it writes fits.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("output", MFD_CLOEXEC)) {}
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  // Negative if there is none; errno says why.
  int descriptor() const { return descriptor_; }

  std::string Read() const {
    std::string content;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = pread(descriptor_, buffer, sizeof(buffer),
                          static_cast<off_t>(content.size()))) > 0) {
      content.append(buffer, static_cast<size_t>(count));
    }
    return content;
  }

 private:
  int descriptor_;
};

// Null-terminated, as exec takes it; points into `strings`.
std::vector<char*> PointersTo(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentWith(const std::string& preload) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!absl::StartsWith(*entry, "LD_PRELOAD="))
      environment.emplace_back(*entry);
  }
  if (!preload.empty()) {
    environment.push_back(absl::StrCat("LD_PRELOAD=", preload));
  }
  return environment;
}

}  // namespace

absl::StatusOr<Subprocess> RunThisProgram(std::vector<std::string> arguments,
                                          const std::string& preload) {
  const MemoryFile output;
  const MemoryFile errors;
  if (output.descriptor() < 0 || errors.descriptor() < 0) {
    return absl::ErrnoToStatus(errno, "memfd_create");
  }
  std::vector<std::string> environment = EnvironmentWith(preload);
  posix_spawn_file_actions_t actions;
  if (const int error = posix_spawn_file_actions_init(&actions); error != 0) {
    return absl::ErrnoToStatus(error, "posix_spawn_file_actions_init");
  }
  const absl::Cleanup destroy = [&actions] {
    posix_spawn_file_actions_destroy(&actions);
  };
  int error = posix_spawn_file_actions_adddup2(&actions, output.descriptor(),
                                               STDOUT_FILENO);
  if (error == 0) {
    error = posix_spawn_file_actions_adddup2(&actions, errors.descriptor(),
                                             STDERR_FILENO);
  }
  pid_t child = 0;
  if (error == 0) {
    error = posix_spawn(&child, "/proc/self/exe", &actions, /*attrp=*/nullptr,
                        PointersTo(arguments).data(),
                        PointersTo(environment).data());
  }
  if (error != 0) return absl::ErrnoToStatus(error, "posix_spawn");

  Subprocess result = {};
  rusage usage = {};
  while (wait4(child, &result.wait_status, /*options=*/0, &usage) < 0) {
    if (errno != EINTR) return absl::ErrnoToStatus(errno, "wait4");
  }
  result.output = output.Read();
  result.errors = errors.Read();
  result.peak_resident_bytes = int64_t{usage.ru_maxrss} * 1024;
  return result;
}

}  // namespace bibop::benchmarks
