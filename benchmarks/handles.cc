// Handles: what it costs to create, use and drop one, beside the least that
// code of one's own could do instead.
//
//   bazel run -c opt //benchmarks:handles -- --operations=50000000
//
// Compares nanoseconds of processor time per operation: nobody waits for
// anything here, so that it is the whole time, and what other processes take is
// not in it. Operations come in batches of a thousand. A batch is a function
// that the compiler sees alone: the mutator behind its reference may be any, as
// in the functions of a program, and after each operation somebody else may
// have looked at, and changed, what is in memory. Each is there at four places,
// in turn; layouts.h says why.
//
//   scope        a HandleScope that is opened, a handle of a Member that is
//                created in it, the scope is closed
//   handle       one of a thousand handles in one scope
//   escape       an EscapableHandleScope with one handle, which escapes; the
//                scope around it closes after a thousand of them
//   mutable      one step of a MutableHandle that walks a list
//   dereference  an object changed and two objects further read, by a Handle
//   sealed       some work in a SealedHandleScope
//   persistent*  see persistent_contests.h
//
// With `bibop` compete
//
//   slot     a hand-written array of slots: a pointer is read where Bibop reads
//            the Member, and stored where `next` points, after a test that this
//            is not `limit`. Both are in memory behind a reference, as a
//            mutator's are. To close a scope is to set `next` back to what it
//            was. There is one array, as large as it gets: a scope of Bibop has
//            to find out when it closes whether blocks of slots were added, and
//            the thousandth handle is in the fourth. Nobody asks whether the
//            pointer is null, as Local does. To escape, a slot is set to null
//            before the inner scope, one is filled in it, and the first is
//            filled; that this happens once is not checked.
//   pointer  the same work with a pointer, or without the SealedHandleScope

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contest.h"
#include "bibop/benchmarks/layouts.h"
#include "bibop/benchmarks/observe.h"
#include "bibop/benchmarks/persistent_contests.h"
#include "bibop/benchmarks/race.h"
#include "bibop/gc.h"

ABSL_FLAG(int64_t, operations, 50'000'000,
          "operations of each run, in batches of 1000: 1000 to 2^40");

namespace bibop::benchmarks {
namespace {

constexpr int kBatch = 1000;
constexpr char kFigure[] = "ns_per_operation";

template <class T>
using Raw = T*;

// One of a list of kBatch.
template <template <class> class Reference>
struct NodeOf {
  void Trace(auto& visitor) const { visitor(next); }

  Reference<NodeOf> next = nullptr;
  int64_t value = 0;
};
using Node = NodeOf<Member>;
using RawNode = NodeOf<Raw>;

// ---- with Bibop ----

struct BibopScopes {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Mutator& mutator,
                                               Handle<Node> node) const {
    for (int i = 0; i < kBatch; ++i) {
      {
        HandleScope scope(mutator);
        Observe(scope.Local(node->next).ToHandleChecked().get());
      }
      Observe(node.get());
    }
  }
};

struct BibopHandles {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Mutator& mutator,
                                               Handle<Node> node) const {
    HandleScope scope(mutator);
    for (int i = 0; i < kBatch; ++i) {
      Observe(scope.Local(node->next).ToHandleChecked().get());
    }
  }
};

struct BibopEscapes {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Mutator& mutator,
                                               Handle<Node> node) const {
    const HandleScope around(mutator);
    for (int i = 0; i < kBatch; ++i) {
      const Handle<Node> escaped = [&] {
        EscapableHandleScope scope(mutator);
        const Handle<Node> inner = scope.Local(node->next).ToHandleChecked();
        Observe(inner.get());
        return scope.Escape(inner);
      }();
      Observe(escaped.get());
    }
  }
};

struct BibopWalk {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Mutator& mutator,
                                               Handle<Node> node) const {
    HandleScope scope(mutator);
    for (MutableHandle<Node> at = scope.Mutable(node); at; at = at->next) {
      Observe(at.get());
    }
  }
};

struct BibopDereferences {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Mutator& /*mutator*/,
                                               Handle<Node> node) const {
    for (int i = 0; i < kBatch; ++i) {
      ++node->value;
      Observe(node->next->next.get());
    }
  }
};

struct BibopSeals {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Mutator& mutator,
                                               Handle<Node> node) const {
    for (int i = 0; i < kBatch; ++i) {
      const SealedHandleScope sealed(mutator);
      ++node->value;
      Observe(node->next->next.get());
    }
  }
};

// A run of batches, with the first of kBatch nodes.
template <class Batch>
void RaceBibop(Race& race) {
  const auto heap = Heap::Create({}).value();
  MutatorScope mutator(*heap);
  HandleScope scope(mutator);
  const Handle<Node> first = scope.New<Node>();
  MutableHandle<Node> last = scope.Mutable(first);
  for (int i = 1; i < kBatch; ++i) {
    HandleScope inner(mutator);
    const Handle<Node> node = inner.New<Node>();
    last->next = node;
    last = node;
  }
  Layouts<Batch, Mutator&, Handle<Node>> batch;
  race.Run([&] {
    race.Repeat([&] { batch(mutator, first); }, [](auto wait) { wait(); });
  });
}

// ---- with slots of one's own ----

class Slots {
 public:
  explicit Slots(size_t size)
      : slots_(std::make_unique<const void*[]>(size)),
        next_(slots_.get()),
        limit_(slots_.get() + size) {}

  // Returns the slot. Aborts if there is none left.
  const void** Push(const void* pointer) {
    if (next_ == limit_) [[unlikely]] {
      Overflow();
    }
    const void** const slot = next_;
    *slot = pointer;
    next_ = slot + 1;
    return slot;
  }

  // A scope begins with a call of next(), and ends with Reset to that.
  const void** next() const { return next_; }
  void Reset(const void** next) { next_ = next; }

 private:
  [[noreturn]] ABSL_ATTRIBUTE_NOINLINE static void Overflow() { std::abort(); }

  const std::unique_ptr<const void*[]> slots_;
  const void** next_;
  const void** const limit_;
};

struct SlotScopes {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Slots& slots,
                                               RawNode* node) const {
    for (int i = 0; i < kBatch; ++i) {
      const void** const mark = slots.next();
      RawNode* const pointer = node->next;
      slots.Push(pointer);
      Observe(pointer);
      slots.Reset(mark);
      Observe(node);
    }
  }
};

struct SlotHandles {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Slots& slots,
                                               RawNode* node) const {
    const void** const mark = slots.next();
    for (int i = 0; i < kBatch; ++i) {
      RawNode* const pointer = node->next;
      slots.Push(pointer);
      Observe(pointer);
    }
    slots.Reset(mark);
  }
};

struct SlotEscapes {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Slots& slots,
                                               RawNode* node) const {
    const void** const around = slots.next();
    for (int i = 0; i < kBatch; ++i) {
      const void** const escaped = slots.Push(nullptr);
      const void** const mark = slots.next();
      RawNode* const pointer = node->next;
      slots.Push(pointer);
      Observe(pointer);
      *escaped = pointer;
      slots.Reset(mark);
      Observe(pointer);
    }
    slots.Reset(around);
  }
};

// ---- with pointers ----

struct PointerWalk {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Slots& /*slots*/,
                                               RawNode* node) const {
    for (RawNode* at = node; at != nullptr; at = at->next) Observe(at);
  }
};

// The work of `sealed`, too.
struct PointerDereferences {
  ABSL_ATTRIBUTE_ALWAYS_INLINE void operator()(Slots& /*slots*/,
                                               RawNode* node) const {
    for (int i = 0; i < kBatch; ++i) {
      ++node->value;
      Observe(node->next->next);
    }
  }
};

template <class Batch>
void RaceRaw(Race& race) {
  std::vector<RawNode> nodes(kBatch);
  for (int i = 1; i < kBatch; ++i) nodes[i - 1].next = &nodes[i];
  Slots slots(kBatch + 1);
  Layouts<Batch, Slots&, RawNode*> batch;
  race.Run([&] {
    race.Repeat([&] { batch(slots, nodes.data()); }, [](auto wait) { wait(); });
  });
}

// ---- the contests ----

std::function<RunResult(int64_t)> RunOf(void (*start)(Race&)) {
  return [start](int64_t operations) -> RunResult {
    Race race(/*threads=*/1, operations / kBatch);
    start(race);
    return {.units = operations,
            .figures = {{kFigure, absl::ToDoubleNanoseconds(race.cpu()) /
                                      static_cast<double>(operations)}}};
  };
}

// What a row of contests consists of.
struct Row {
  const char* name;
  void (*bibop)(Race&);
  const char* reference;
  void (*raw)(Race&);
  // The ratio that must be reached.
  std::optional<double> at_most;
};

// For what is the same code; more than that is noise.
constexpr double kSame = 1.05;

const Row kRows[] = {
    {"scope", RaceBibop<BibopScopes>, "slot", RaceRaw<SlotScopes>, 1.2},
    {"handle", RaceBibop<BibopHandles>, "slot", RaceRaw<SlotHandles>, 1.1},
    {"escape", RaceBibop<BibopEscapes>, "slot", RaceRaw<SlotEscapes>, 1.3},
    {"mutable", RaceBibop<BibopWalk>, "pointer", RaceRaw<PointerWalk>, {}},
    {"dereference", RaceBibop<BibopDereferences>, "pointer",
     RaceRaw<PointerDereferences>, kSame},
    {"sealed", RaceBibop<BibopSeals>, "pointer", RaceRaw<PointerDereferences>,
     kSame},
};

absl::StatusOr<std::vector<Contest>> Contests() {
  const int64_t operations = absl::GetFlag(FLAGS_operations);
  absl::Status status =
      CheckFlag("operations", operations, kBatch, int64_t{1} << 40);
  if (!status.ok()) return status;
  std::vector<Contest> contests;
  for (const Row& row : kRows) {
    contests.push_back(
        {.name = row.name,
         .size = operations / kBatch * kBatch,
         .unit = "operations",
         .figure = kFigure,
         .reference = row.reference,
         .contestants = {{.name = "bibop", .run = RunOf(row.bibop)},
                         {.name = row.reference, .run = RunOf(row.raw)}}});
  }
  for (Contest& contest : PersistentContests(operations / kBatch * kBatch)) {
    contests.push_back(std::move(contest));
  }
  return contests;
}

std::vector<Derived> Derive(Figures median) {
  std::vector<Derived> derived;
  for (const Row& row : kRows) {
    derived.push_back({absl::StrCat(row.name, " bibop/", row.reference),
                       median(row.name, "bibop", kFigure) /
                           median(row.name, row.reference, kFigure),
                       row.at_most});
  }
  for (Derived& persistents : DerivePersistents(median)) {
    derived.push_back(std::move(persistents));
  }
  return derived;
}

}  // namespace
}  // namespace bibop::benchmarks

int main(int argc, char** argv) {
  return bibop::benchmarks::RunContests(
      argc, argv,
      {.description = "Times handles beside slots of one's own and pointers.",
       .contests = bibop::benchmarks::Contests,
       .derive = bibop::benchmarks::Derive});
}
