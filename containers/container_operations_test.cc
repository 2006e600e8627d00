// Each operation of each container, with a collection at every place where one
// may be: nothing is lost that is still in use, and while a mark runs nothing
// that it has to find.

#include "bibop/containers/container_operations.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/config.h"
#include "absl/container/flat_hash_set.h"
#include "absl/log/absl_log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bibop/base/poison.h"
#include "bibop/containers/containers.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/test_mutator.h"
#include "bibop/heap/heap_phase.h"
#include "bibop/heap/local_allocator.h"
#include "bibop/heap/mark_queue.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/marker.h"
#include "gtest/gtest.h"

namespace bibop::testing {
namespace {

constexpr size_t kHeapBytes = size_t{1} << 30;

// Calls a function at each place where a collection may run.
class WatchedMutator final : private TestRoots, public MutatorBase {
 public:
  explicit WatchedMutator(ObjectHeap& heap)
      : MutatorBase(LocalAllocator::Create(heap).value(), own_roots) {}
  ~WatchedMutator() = default;

  absl::StatusOr<void*> AllocateSlow(const TypeInfo& type, TypeId id,
                                     size_t size) override {
    CheckMayCollect();
    if (at_safepoint) at_safepoint();
    return allocator().AllocateSlow(type, id, size);
  }
  bool GrowWithoutCollecting(size_t /*size*/) override { return false; }
  [[noreturn]] void OutOfMemory(const absl::Status& status) override {
    ABSL_LOG(FATAL) << status.message();
  }

  std::function<void()> at_safepoint;
};

// Abseil's hash tables look for their misuse under AddressSanitizer.
template <class C>
inline constexpr bool kMoveLeavesAnyWords =
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
    requires(const C& c, typename C::hasher) { c.capacity(); };
#else
    false;
#endif

template <class C>
struct Owner {
  C container;
  void Trace(auto& visitor) const { visitor(container); }
};

template <class P>
class ContainerOperationsTest : public ::testing::Test {
 protected:
  using C = typename P::Real;
  using Model = typename P::Model;

  void BeginMark() {
    heap_->FinishSweep();
    mutator_->allocator().Retire();
    heap_->BeginMark();
  }

  void FinishMark() {
    mutator_->allocator().Retire();
    heap_->FinishMark();
    heap_->EndClearing();
    heap_->StartSweep();
  }

  // Collects and sweeps, as fast as dead objects can disappear.
  void Collect() {
    BeginMark();
    Marker marker(*heap_);
    mutator_->handles().VisitRootsInConstruction(marker);
    mutator_->handles().VisitRoots(marker);
    ASSERT_TRUE(marker.Drain());
    FinishMark();
    heap_->SweepAll();
  }

  std::unique_ptr<ObjectHeap> heap_ = ObjectHeap::Create(kHeapBytes).value();
  std::unique_ptr<WatchedMutator> mutator_ =
      std::make_unique<WatchedMutator>(*heap_);
};
TYPED_TEST_SUITE(ContainerOperationsTest, AsTestTypes<AllPairs>::Types);

// Everything dies that may, at every allocation.
TYPED_TEST(ContainerOperationsTest, NothingInUseIsLostWhereverACollectionRuns) {
  using C = typename TypeParam::Real;
  using Model = typename TypeParam::Model;
  const std::vector<Operation<C>> operations = Operations<C>();
  const std::vector<Operation<Model>> on_model = Operations<Model>();
  ASSERT_EQ(operations.size(), on_model.size());
  {
    HandleScope scope(*this->mutator_);
    const Handle<Owner<C>> a = scope.New<Owner<C>>();
    const Handle<Owner<C>> b = scope.New<Owner<C>>();
    Model model_a;
    Model model_b;
    std::mt19937 random(1);
    this->mutator_->at_safepoint = [this] { this->Collect(); };
    for (int step = 0; step < 300; ++step) {
      const size_t which = random() % operations.size();
      const int n = static_cast<int>(random() % 100);
      {
        HandleScope inner(*this->mutator_);
        Operands<C> o = {&inner, a->container, b->container, n};
        operations[which].run(o);
      }
      Operands<Model> o = {nullptr, model_a, model_b, n};
      on_model[which].run(o);
      ASSERT_EQ(Described(a->container), Described(model_a))
          << operations[which].name;
      ASSERT_EQ(Described(b->container), Described(model_b))
          << operations[which].name;
      if (model_a.size() + model_b.size() > 300) {
        a->container.clear();
        model_a.clear();
      }
    }
    this->mutator_->at_safepoint = nullptr;
  }
  // And what is not in use is not kept.
  this->Collect();
  size_t objects = 0;
  this->heap_->ForEachObject([&objects](ObjectRef) { ++objects; });
  EXPECT_EQ(objects, 0u);
  this->heap_->CheckInvariants();
}

// What there was when a mark began, and what has become of it.
class Snapshot {
 public:
  Snapshot(const ObjectHeap& heap, const LocalHandles& handles) : heap_(heap) {
    const RootCollector roots(handles);
    for (const void* root : roots.roots) Add(root);
    // Their words are scanned at once.
    for (const void* root : roots.in_construction) Add(root);
    while (!to_scan_.empty()) {
      const ObjectRef object = to_scan_.back();
      to_scan_.pop_back();
      for (size_t at = 0; at + 8 <= object.size; at += 8) {
        const uintptr_t word = ReadAnyWord(object.start + at);
        if (const auto found = heap_.FindObject(word)) {
          words_.push_back({object, object.start + at, found->start});
          Add(found->start);
        }
      }
    }
    // The marker looks at what slots refer to as soon as it can.
    for (const void* root : roots.roots) saved_.insert(Start(root));
  }

  // Looks whether the marker will find everything, whenever it looks at what:
  // it will if each word that has changed had its value saved.
  std::string WhatIsMissing(MutatorBase& mutator) {
    mutator.snapshot().Flush();
    for (;;) {
      const MarkQueue::Batch batch = mutator.object_heap().mark_queue().Take();
      if (batch.empty()) break;
      for (const void* object : batch) saved_.insert(Start(object));
    }
    std::string missing;
    for (const Word& word : words_) {
      const auto now = heap_.FindObject(ReadAnyWord(word.at));
      if (now.has_value() && now->start == word.value) continue;
      if (saved_.contains(word.value)) continue;
      // A word of what once was an element; the element is elsewhere now.
      if (IsElsewhere(word.value)) continue;
      missing += " " + std::string(Find(word.value).type->name) + " in " +
                 std::string(word.object.type->name);
    }
    return missing;
  }

  // Gives the marker what was saved.
  void ShowSaved(Marker& marker) const {
    for (const std::byte* object : saved_) marker.VisitRoot(object);
  }

 private:
  bool IsElsewhere(const std::byte* value) const {
    return std::ranges::any_of(words_, [&](const Word& word) {
      if (word.value != value) return false;
      const auto now = heap_.FindObject(ReadAnyWord(word.at));
      return now.has_value() && now->start == value;
    });
  }

  struct Word {
    ObjectRef object;
    const std::byte* at;
    const std::byte* value;
  };

  ObjectRef Find(const void* object) const {
    return heap_.FindObject(reinterpret_cast<uintptr_t>(object)).value();
  }
  const std::byte* Start(const void* object) const {
    return Find(object).start;
  }
  void Add(const void* object) {
    const ObjectRef found = Find(object);
    if (!objects_.insert(found.start).second) return;
    if (found.type->trace != nullptr) to_scan_.push_back(found);
  }

  const ObjectHeap& heap_;
  absl::flat_hash_set<const std::byte*> objects_;
  std::vector<ObjectRef> to_scan_;
  std::vector<Word> words_;
  absl::flat_hash_set<const std::byte*> saved_;
};

TYPED_TEST(ContainerOperationsTest, AMarkFindsAllWheneverItBegins) {
  using C = typename TypeParam::Real;
  if constexpr (kMoveLeavesAnyWords<C>) {
    GTEST_SKIP() << "a hash table that was moved from holds words that were "
                    "not written, and not even one that was moved to has the "
                    "memory of the other";
  }
  for (const Operation<C>& operation : Operations<C>()) {
    // The mark begins at the safepoint with this number.
    bool begun = true;
    for (int when = 0; begun; ++when) {
      for (const int n : {3, 26}) {
        HandleScope scope(*this->mutator_);
        const Handle<Owner<C>> a = scope.New<Owner<C>>();
        const Handle<Owner<C>> b = scope.New<Owner<C>>();
        for (int i = 0; i < n; ++i) {
          HandleScope inner(*this->mutator_);
          Operands<C> o = {&inner, i % 3 == 0 ? b->container : a->container,
                           a->container, i};
          Operations<C>()[0].run(o);
        }
        std::optional<Snapshot> snapshot;
        std::string missing;
        int safepoints = 0;
        this->mutator_->at_safepoint = [&] {
          if (snapshot.has_value()) {
            // The mark may end here.
            missing += snapshot->WhatIsMissing(*this->mutator_);
          } else if (++safepoints == when) {
            this->BeginMark();
            snapshot.emplace(*this->heap_, this->mutator_->handles());
          }
        };
        if (when == 0) {
          this->BeginMark();
          snapshot.emplace(*this->heap_, this->mutator_->handles());
        }
        {
          HandleScope inner(*this->mutator_);
          Operands<C> o = {&inner, a->container, b->container, n};
          operation.run(o);
          this->mutator_->at_safepoint = nullptr;
          begun = snapshot.has_value();
          if (begun) missing += snapshot->WhatIsMissing(*this->mutator_);
        }
        ASSERT_EQ(missing, "") << operation.name << " of " << n
                               << ", mark from safepoint " << when;
        if (begun) {
          Marker marker(*this->heap_);
          snapshot->ShowSaved(marker);
          this->mutator_->handles().VisitRoots(marker);
          ASSERT_TRUE(marker.Drain());
          this->FinishMark();
        }
      }
      this->Collect();
      if (when > 60) break;
    }
  }
}

}  // namespace
}  // namespace bibop::testing
