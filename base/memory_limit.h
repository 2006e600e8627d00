// How much memory the process may use, as far as the system says so.

#ifndef BIBOP_BASE_MEMORY_LIMIT_H_
#define BIBOP_BASE_MEMORY_LIMIT_H_

#include <cstddef>
#include <optional>
#include <string>

namespace bibop {

// The least memory.max, in bytes, of the process's control group (cgroup v2)
// and of those around it; nothing where none has one, or the system has no such
// groups. Reads files below `root`, which is a part of their names only, for
// tests. Any thread may call it.
std::optional<size_t> ControlGroupMemoryLimit(const std::string& root = "");

}  // namespace bibop

#endif  // BIBOP_BASE_MEMORY_LIMIT_H_
