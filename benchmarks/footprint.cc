// Footprint: how many bytes an object of each size takes, all that the memory
// manager keeps beside it included.
//
//   bazel run -c opt //benchmarks:footprint -- --fill_mib=64
//
// For each size as many objects as fill so much memory, all of which are kept,
// in a list; compares by how much the resident memory grew, divided by their
// number.

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/resident_memory.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, fill_mib, 64, "the objects of a size, in MiB: 1 to 2^20");

namespace bibop::benchmarks {
namespace {

constexpr std::index_sequence<16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024,
                              2048, 4096>
    kSizes;

template <class T>
using Raw = T*;

// All of it is written, for memory that nobody writes to is not resident.
template <size_t kSize, template <class> class Reference>
struct Object {
  static_assert(sizeof(Reference<Object>) == sizeof(void*));

  void Trace(auto& visitor) const { visitor(next); }

  Reference<Object> next = nullptr;
  std::array<std::byte, kSize - sizeof(void*)> rest = {};
};

// To be called while the list can be reached.
template <class T>
RunResult Result(int64_t resident_before, const T* list) {
  const int64_t resident = ResidentBytes() - resident_before;
  int64_t count = 0;
  if (list != nullptr) ++count;
  for (; list != nullptr && list->next != nullptr; list = &*list->next) {
    ++count;
  }
  return {.units = count,
          .figures = {{"bytes_per_object", static_cast<double>(resident) /
                                               static_cast<double>(count)}}};
}

template <size_t kSize>
RunResult RunBibop(int64_t count) {
  using T = Object<kSize, Member>;
  const int64_t resident_before = ResidentBytes();
  auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  MutableHandle<T> list = scope.Mutable<T>();
  for (int64_t i = 0; i < count; ++i) {
    HandleScope one(mutator);
    const Handle<T> object = one.New<T>();
    object->next = list;
    list = object;
  }
  return Result(resident_before, list.get());
}

template <size_t kSize>
RunResult RunNewDelete(int64_t count) {
  using T = Object<kSize, Raw>;
  const int64_t resident_before = ResidentBytes();
  T* list = nullptr;
  for (int64_t i = 0; i < count; ++i) list = new T{.next = list};
  const RunResult result = Result(resident_before, list);
  while (list != nullptr) {
    T* const next = list->next;
    delete list;
    list = next;
  }
  return result;
}

template <size_t kSize>
Contest ContestOf(int64_t fill_bytes) {
  Contest contest = {.name = absl::StrCat(kSize, "_bytes"),
                     .size = fill_bytes / int64_t{kSize},
                     .unit = "objects",
                     .figure = "bytes_per_object",
                     .other_figures = {"peak_mib", "wall_s"},
                     .reference = "bibop",
                     .contestants = OnEveryMalloc(RunNewDelete<kSize>)};
  contest.contestants.insert(contest.contestants.begin(),
                             {.name = "bibop", .run = RunBibop<kSize>});
  return contest;
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t fill_mib = absl::GetFlag(FLAGS_fill_mib);
  absl::Status status = CheckFlag("fill_mib", fill_mib, 1, 1 << 20);
  if (!status.ok()) return status;
  return [&]<size_t... kSize>(std::index_sequence<kSize...>) {
    return std::vector<Contest>{ContestOf<kSize>(fill_mib << 20)...};
  }(kSizes);
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Counts the bytes that an object of each size takes.",
       .contests = bibop::benchmarks::Contests});
}
