// Fragmentation: what stays resident when small objects that are kept lie
// between larger ones that are not.
//
//   bazel run -c opt //benchmarks:fragmentation -- --pairs=262144
//
// Allocates an object of 8 bytes, which is kept, and one of 1 KiB, which is
// dropped at once, in turn; then as many of 1 KiB, all of which are kept.
// Compares how many bytes are then resident for each byte of kept objects: what
// the memory manager itself takes is included, what the process had before is
// not.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/resident_memory.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, pairs, 256 << 10, "pairs of objects: 1 to 2^31");

namespace bibop::benchmarks {
namespace {

template <class T>
using Raw = T*;

// The objects that are kept form lists. What a large one has besides is
// written, for memory that nobody writes to is not resident.

template <template <class> class Reference>
struct Small {
  void Trace(auto& visitor) const { visitor(next); }

  Reference<Small> next = nullptr;
};

template <template <class> class Reference>
struct Large {
  void Trace(auto& visitor) const { visitor(next); }

  Reference<Large> next = nullptr;
  std::array<std::byte, 1024 - sizeof(void*)> rest = {};
};

static_assert(sizeof(Small<Member>) == 8 && sizeof(Large<Member>) == 1024);

template <class T>
int64_t Length(const T* list) {
  int64_t length = 0;
  if (list != nullptr) ++length;
  for (; list != nullptr && list->next != nullptr; list = &*list->next) {
    ++length;
  }
  return length;
}

// To be called while all objects that are kept can be reached.
RunResult Result(int64_t resident_before, int64_t small, int64_t large) {
  constexpr double kMib = 1 << 20;
  const int64_t live = small * 8 + large * 1024;
  const int64_t resident = ResidentBytes() - resident_before;
  return {.units = small + large,
          .figures = {{"resident_per_live", static_cast<double>(resident) /
                                                static_cast<double>(live)},
                      {"resident_mib", static_cast<double>(resident) / kMib},
                      {"live_mib", static_cast<double>(live) / kMib}}};
}

RunResult RunBibop(int64_t pairs) {
  const int64_t resident_before = ResidentBytes();
  auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  MutableHandle<Small<Member>> small = scope.Mutable<Small<Member>>();
  MutableHandle<Large<Member>> large = scope.Mutable<Large<Member>>();
  for (int64_t i = 0; i < pairs; ++i) {
    HandleScope pair(mutator);
    const Handle<Small<Member>> kept = pair.New<Small<Member>>();
    kept->next = small;
    small = kept;
    (void)pair.New<Large<Member>>();
  }
  for (int64_t i = 0; i < pairs; ++i) {
    HandleScope one(mutator);
    const Handle<Large<Member>> kept = one.New<Large<Member>>();
    kept->next = large;
    large = kept;
  }
  return Result(resident_before, Length(small.get()), Length(large.get()));
}

template <class T>
void DeleteList(T* list) {
  while (list != nullptr) {
    T* const next = list->next;
    delete list;
    list = next;
  }
}

RunResult RunNewDelete(int64_t pairs) {
  const int64_t resident_before = ResidentBytes();
  Small<Raw>* small = nullptr;
  Large<Raw>* large = nullptr;
  for (int64_t i = 0; i < pairs; ++i) {
    small = new Small<Raw>{.next = small};
    auto* const dropped = new Large<Raw>;
    // As in any program that uses the object: the compiler may not leave it
    // out.
    asm volatile("" : : "r"(dropped) : "memory");
    delete dropped;
  }
  for (int64_t i = 0; i < pairs; ++i) {
    large = new Large<Raw>{.next = large};
  }
  const RunResult result =
      Result(resident_before, Length(small), Length(large));
  DeleteList(small);
  DeleteList(large);
  return result;
}

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t pairs = absl::GetFlag(FLAGS_pairs);
  absl::Status status = CheckFlag("pairs", pairs, 1, int64_t{1} << 31);
  if (!status.ok()) return status;
  Contest contest = {
      .name = "fragmentation",
      .size = pairs,
      .unit = "objects kept",
      .figure = "resident_per_live",
      .other_figures = {"resident_mib", "live_mib", "peak_mib", "wall_s"},
      .reference = "bibop",
      .contestants = OnEveryMalloc(RunNewDelete)};
  contest.contestants.insert(contest.contestants.begin(),
                             {.name = "bibop", .run = RunBibop});
  return std::vector<Contest>{contest};
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Keeps small objects between larger ones that are not.",
       .contests = bibop::benchmarks::Contests});
}
