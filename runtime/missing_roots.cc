#include "bibop/runtime/missing_roots.h"

#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_log.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "bibop/base/stack_snapshot.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/heap/object_heap.h"
#include "bibop/runtime/mutator.h"
#include "bibop/runtime/stress_options.h"

namespace bibop {
namespace {

std::string Describe(const ObjectRef& object, const StackSnapshot& stack,
                     const StackSnapshot::Word& word) {
  const std::string place = word.at == nullptr
                                ? std::string("in a register")
                                : absl::StrCat("at 0x", absl::Hex(word.at),
                                               " on its "
                                               "stack");
  return absl::StrCat(
      "a missing root? Thread ", stack.thread_id(), " refers to the ",
      object.type->name, " at 0x", absl::Hex(object.start), " ", place,
      ", in the frame of ", stack.FunctionOf(word),
      ", and no handle or other root keeps it alive: it is about to be "
      "destroyed. If that function still uses it, it needs a handle across "
      "safepoints and allocations. If not, the word is a left-over of a "
      "variable that is not used any more, and this is a false alarm");
}

}  // namespace

void FindMissingRoots(const ObjectHeap& heap,
                      absl::Span<MutatorBase* const> mutators,
                      MissingRoots what_to_do) {
  absl::flat_hash_set<const void*> told;
  for (const MutatorBase* mutator : mutators) {
    const StackSnapshot& stack = static_cast<const Mutator*>(mutator)->stack();
    stack.ForEachWord([&](StackSnapshot::Word word) {
      const std::optional<ObjectRef> object = heap.FindObject(word.value);
      if (!object.has_value() || heap.IsMarked(object->start) ||
          !told.insert(object->start).second) {
        return;
      }
      const std::string text = Describe(*object, stack, word);
      if (what_to_do == MissingRoots::kAbort) ABSL_LOG(FATAL) << text;
      ABSL_LOG(WARNING) << text;
    });
  }
}

}  // namespace bibop
