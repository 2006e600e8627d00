#include "bibop/marker/verifier.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_check.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "bibop/base/poison.h"
#include "bibop/handles/heap_roots.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/root_visitor.h"
#include "bibop/heap/card_table.h"
#include "bibop/heap/object_heap.h"
#include "bibop/marker/death_watch.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/weak_lists.h"
#include "bibop/marker/weak_word.h"

namespace bibop {
namespace {

class Verifier final : public RootVisitor {
 public:
  Verifier(const ObjectHeap& heap, VerifiedMark mark)
      : heap_(heap), mark_(mark), visitor_(heap) {}

  // Names the roots that are shown from now on.
  void set_root_name(std::string name) {
    root_names_.push_back(std::move(name));
  }

  void VisitRoot(const void* object) override { Reach(object, RootHere()); }

  void VisitRootInConstruction(const void* object) override {
    const ObjectRef found = Find(object, RootHere());
    in_construction_.insert(found.start);
    if (!Add(found, RootHere())) return;
    if (reinterpret_cast<uintptr_t>(found.start) % sizeof(uintptr_t) != 0) {
      return;
    }
    for (size_t i = 0; i < found.size / sizeof(uintptr_t); ++i) {
      const uintptr_t word = ReadAnyWord(found.start + i * sizeof(uintptr_t));
      const std::optional<ObjectRef> referent = heap_.FindObject(word);
      if (!referent.has_value()) continue;
      // The cell held another object before, and what is left of that may
      // point at something dead if the constructor began during the mark.
      if (!mark_.in_one_pause && !heap_.IsMarked(referent->start)) continue;
      words_.push_back({referent->start, ObjectAt(found)});
    }
  }

  // Follows everything. To be called when all roots in construction, and then
  // all others, were shown.
  void Drain() {
    for (const Reference& word : words_) Reach(word.to, word.from);
    while (!pending_.empty()) {
      const ObjectRef object = pending_.back();
      pending_.pop_back();
      Trace(object);
    }
  }

  // The weak references that were come across.
  std::vector<const internal::WeakWord*> TakeWeak() { return std::move(weak_); }

  // I-6: aborts if the cards of an old object are clean that refers to a young
  // one, or whose weak reference does. Stores and their containers link to each
  // other without a barrier; what is left of that in a dead store means
  // nothing.
  void CheckCards() {
    heap_.ForEachObject([this](ObjectRef object) {
      if (!IsOld(object.start) || object.type->trace == nullptr ||
          in_construction_.contains(object.start) ||
          (object.type->is_store && !from_.contains(object.start)) ||
          !AreClean(object.start, object.size)) {
        return;
      }
      weak_.clear();
      object.type->trace(object.start, visitor_);
      do {
        while (!visitor_.stack().empty()) {
          CheckIsOld(visitor_.stack().Take(1).front(), object);
        }
      } while (visitor_.TakeElements() != 0);
      NoteWeak(object);
      for (const internal::WeakWord* word : weak_) {
        const void* referent = word->Load();
        // What is dead will be cleared.
        if (internal::EphemeronCell::IsObject(referent) &&
            heap_.IsMarked(referent)) {
          CheckIsOld(referent, object);
        }
      }
    });
  }

  // Aborts if something else is marked.
  void CheckNothingElseIsMarked() const {
    heap_.ForEachObject([this](ObjectRef object) {
      ABSL_CHECK(!heap_.IsMarked(object.start) || from_.contains(object.start))
          << "verifier: " << Describe(object)
          << " is marked, but nothing that is alive refers to it: no mutator "
             "ran during this mark, so it found too much";
    });
  }

 private:
  // What an object was reached from: the start of another, or the number of a
  // root's name, which is no address.
  using From = uintptr_t;
  struct Reference {
    const void* to;
    From from;
  };

  From RootHere() const { return root_names_.size() - 1; }
  static From ObjectAt(const ObjectRef& object) {
    return reinterpret_cast<From>(object.start);
  }

  static std::string Describe(const ObjectRef& object) {
    return absl::StrCat("the ", object.type->name, " at 0x",
                        absl::Hex(ObjectAt(object)));
  }

  // "..., which a B at 0x2 refers to, which the handles of a thread refer to"
  std::string DescribePath(From from) const {
    constexpr int kMostSteps = 20;
    std::string path;
    for (int step = 0; from >= root_names_.size(); ++step) {
      if (step == kMostSteps) return absl::StrCat(path, "\n  ...");
      const std::optional<ObjectRef> object = heap_.FindObject(from);
      absl::StrAppend(&path, "\n  from ",
                      object.has_value() ? Describe(*object) : "an object");
      const auto at = from_.find(reinterpret_cast<const void*>(from));
      if (at == from_.end()) return absl::StrCat(path, ", which is garbage");
      from = at->second;
    }
    return absl::StrCat(path, "\n  from ", root_names_[from]);
  }

  // The object that `pointer` points at or into, which has to be one.
  ObjectRef Find(const void* pointer, From from) const {
    ABSL_CHECK(heap_.Contains(pointer))
        << "verifier: " << pointer
        << " is reached, and is not in this heap:" << DescribePath(from);
    const std::optional<ObjectRef> object =
        heap_.FindObject(reinterpret_cast<uintptr_t>(pointer));
    ABSL_CHECK(object.has_value())
        << "verifier: " << pointer
        << " is reached, and no object is there, or none any more (is a Member "
           "missing from a Trace?):"
        << DescribePath(from);
    return *object;
  }

  bool IsOld(const void* object) const {
    return heap_.MarkOf(object) == heap_.marks().old();
  }
  // Whether a word of `object` points at or into `store`.
  bool PointsAt(const ObjectRef& object, const ObjectRef& store) const {
    for (size_t i = 0; i < object.size / sizeof(uintptr_t); ++i) {
      const auto found =
          heap_.FindObject(ReadAnyWord(object.start + i * sizeof(uintptr_t)));
      if (found.has_value() && found->start == store.start) return true;
    }
    return false;
  }
  void CheckIsOld(const void* referent, const ObjectRef& holder) const {
    const ObjectRef found = Find(referent, ObjectAt(holder));
    ABSL_CHECK(IsOld(found.start) || found.type->is_store ||
               (holder.type->is_store && PointsAt(found, holder)))
        << "verifier: " << Describe(holder) << " is old, its cards are clean, "
        << "and it refers to " << Describe(found) << ", which is young (I-6)";
  }

  // Notes that an object is reached. Returns false if it was before.
  bool Add(const ObjectRef& object, From from) {
    if (!from_.try_emplace(object.start, from).second) return false;
    ABSL_CHECK(heap_.IsMarked(object.start))
        << "verifier: " << Describe(object)
        << " is reached, and the mark has missed it:" << DescribePath(from);
    return true;
  }

  void Reach(const void* pointer, From from) {
    const ObjectRef object = Find(pointer, from);
    if (Add(object, from)) pending_.push_back(object);
  }

  void Trace(const ObjectRef& object) {
    // Values that live as long as this, their key, does.
    if (const auto at = waiting_.find(object.start); at != waiting_.end()) {
      for (const void* value : at->second) Reach(value, ObjectAt(object));
    }
    if (object.type->trace == nullptr) return;
    object.type->trace(object.start, visitor_);
    do {
      while (!visitor_.stack().empty()) {
        Reach(visitor_.stack().Take(1).front(), ObjectAt(object));
      }
    } while (visitor_.TakeElements() != 0);
    NoteWeak(object);
  }

  void NoteWeak(const ObjectRef& object) {
    internal::WeakLists& visited = visitor_.weak();
    weak_.insert(weak_.end(), visited.words.begin(), visited.words.end());
    for (const internal::DeathWatch* watch : visited.watches) {
      weak_.push_back(&watch->object());
    }
    for (const internal::EphemeronCells& cells : visited.ephemerons) {
      for (size_t i = 0; i < cells.count; ++i) {
        Note(cells.first[i], object);
      }
    }
    visited.words.clear();
    visited.watches.clear();
    visited.ephemerons.clear();
  }

  void Note(const internal::EphemeronCell& cell, const ObjectRef& in) {
    const void* key = cell.key().Load();
    const void* value = cell.value().Load();
    weak_.push_back(&cell.key());
    weak_.push_back(&cell.value());
    if (value == nullptr || !internal::EphemeronCell::IsObject(key)) return;
    const ObjectRef found = Find(key, ObjectAt(in));
    if (from_.contains(found.start)) {
      Reach(value, ObjectAt(in));
    } else {
      waiting_[found.start].push_back(value);
    }
  }

  const ObjectHeap& heap_;
  const VerifiedMark mark_;
  MarkingVisitor visitor_;
  std::vector<std::string> root_names_;
  // What was reached, from what.
  absl::flat_hash_map<const void*, From> from_;
  // Of that, whose Trace is still to be called.
  std::vector<ObjectRef> pending_;
  // What objects in construction refer to: not followed until it is known which
  // objects those are, for their Traces must not be called.
  std::vector<Reference> words_;
  // Values of ephemerons, by keys that were not reached yet.
  absl::flat_hash_map<const void*, std::vector<const void*>> waiting_;
  std::vector<const internal::WeakWord*> weak_;
  // The starts of objects in construction.
  absl::flat_hash_set<const void*> in_construction_;
};

}  // namespace

std::vector<const internal::WeakWord*> VerifyMark(
    const ObjectHeap& heap, absl::Span<MutatorBase* const> mutators,
    const HeapRoots& roots, VerifiedMark mark) {
  heap.CheckInvariants();
  const ObjectHeap::TracingScope tracing(heap);
  Verifier verifier(heap, mark);
  verifier.set_root_name("a handle, whose object is in construction");
  for (const MutatorBase* mutator : mutators) {
    mutator->handles().VisitRootsInConstruction(verifier);
  }
  for (size_t i = 0; i < mutators.size(); ++i) {
    verifier.set_root_name(
        absl::StrCat("a handle of mutator ", i, " of ", mutators.size()));
    mutators[i]->handles().VisitRoots(verifier);
  }
  verifier.set_root_name("a Persistent");
  roots.slots->VisitStrong(verifier);
  verifier.set_root_name("an AsyncHandleScope");
  roots.async->VisitRoots(verifier);
  verifier.Drain();
  if (mark.exact) verifier.CheckNothingElseIsMarked();
  std::vector<const internal::WeakWord*> weak = verifier.TakeWeak();
  if (heap.marks().generations()) verifier.CheckCards();
  return weak;
}

void VerifyCleared(const ObjectHeap& heap, const HeapRoots& roots,
                   absl::Span<const internal::WeakWord* const> weak) {
  for (const internal::WeakWord* word : weak) {
    const void* object = word->Load();
    ABSL_CHECK(!internal::EphemeronCell::IsObject(object) ||
               heap.IsMarked(object))
        << "verifier: a weak reference at " << word
        << " still refers to the object at " << object
        << ", which was found dead";
  }
  roots.slots->VisitWeak([&heap](const void* object) {
    ABSL_CHECK(heap.IsMarked(object))
        << "verifier: a WeakPersistent still refers to the object at " << object
        << ", which was found dead";
  });
}

}  // namespace bibop
