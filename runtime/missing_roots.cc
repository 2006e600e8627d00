#include "bibop/runtime/missing_roots.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/log/absl_log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "bibop/base/stack_snapshot.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {
namespace {

// What a frame of these holds is, if anything of use, what its caller had in
// registers.
bool IsOfRuntime(absl::string_view function) {
  return absl::StartsWith(function, "bibop::Mutator::") ||
         absl::StartsWith(function, "bibop::Collector::") ||
         absl::StartsWith(function, "bibop::Heap::") ||
         absl::StartsWith(function, "bibop::ParkedScope::");
}

std::string PlaceOf(const StackSnapshot& stack,
                    const StackSnapshot::Word& word) {
  std::string function = stack.FunctionOf(word);
  const bool in_register = word.at == nullptr && word.function == nullptr;
  return in_register || IsOfRuntime(function)
             ? "a register"
             : absl::StrCat("the frame of ", function);
}

// An object that no root keeps alive, and where a thread refers to it.
struct Found {
  ObjectRef object;
  std::vector<std::string> places;
};

std::string Describe(const Found& found, const StackSnapshot& stack) {
  return absl::StrCat(
      "a missing root? Thread ", stack.thread_id(), " refers to the ",
      found.object.type->name, " at 0x", absl::Hex(found.object.start), " in ",
      absl::StrJoin(found.places, ", "),
      ", and no handle or other root keeps it alive: it is about to be "
      "destroyed. If it is still used there, it needs a handle across "
      "safepoints and allocations. If not, the word is a left-over of a "
      "variable that is not used any more, and this is a false alarm");
}

// In the order in which they were met, from the innermost frame outward.
std::vector<Found> FindIn(const ObjectHeap& heap, const StackSnapshot& stack) {
  std::vector<Found> all;
  absl::flat_hash_map<const void*, size_t> index;
  stack.ForEachWord([&](StackSnapshot::Word word) {
    const std::optional<ObjectRef> object = heap.FindObject(word.value);
    if (!object.has_value() || heap.IsMarked(object->start)) return;
    const auto [at, is_new] = index.try_emplace(object->start, all.size());
    if (is_new) all.push_back({*object, {}});
    std::vector<std::string>& places = all[at->second].places;
    std::string place = PlaceOf(stack, word);
    if (std::ranges::count(places, place) == 0) {
      places.push_back(std::move(place));
    }
  });
  return all;
}

}  // namespace

void FindMissingRoots(const ObjectHeap& heap,
                      absl::Span<MutatorBase* const> mutators,
                      MissingRoots what_to_do) {
  for (const MutatorBase* mutator : mutators) {
    const StackSnapshot& stack = static_cast<const Mutator*>(mutator)->stack();
    for (const Found& found : FindIn(heap, stack)) {
      const std::string text = Describe(found, stack);
      if (what_to_do == MissingRoots::kAbort) ABSL_LOG(FATAL) << text;
      ABSL_LOG(WARNING) << text;
    }
  }
}

}  // namespace bibop
