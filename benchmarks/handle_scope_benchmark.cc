// What handles and small allocations cost, beside the least that could be done.
//
// Counts per iteration: one scope with `n` handles, or one object. The garbage
// that the allocations leave is collected as it would be in a program; its cost
// is part of the time.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "benchmark/benchmark.h"
#include "bibop/gc.h"

namespace {

struct Pair {
  bibop::Member<Pair> first;
  bibop::Member<Pair> second;

  void Trace(auto& visitor) const { visitor(first, second); }
};

void BM_EmptyScope(benchmark::State& state) {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  for (auto _ : state) {
    bibop::HandleScope scope(mutator);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_EmptyScope);

void BM_ScopeWithLocals(benchmark::State& state) {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  bibop::HandleScope outer(mutator);
  const bibop::Handle<Pair> pair = outer.New<Pair>();
  pair->first = pair;
  for (auto _ : state) {
    bibop::HandleScope scope(mutator);
    for (int64_t i = 0; i < state.range(0); ++i) {
      benchmark::DoNotOptimize(scope.Local(pair->first));
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ScopeWithLocals)->Arg(1)->Arg(8)->Arg(64)->Arg(1024);

void BM_SealedScope(benchmark::State& state) {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  bibop::HandleScope outer(mutator);
  for (auto _ : state) {
    bibop::SealedHandleScope sealed(mutator);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_SealedScope);

void BM_NewPair(benchmark::State& state) {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  for (auto _ : state) {
    bibop::HandleScope scope(mutator);
    benchmark::DoNotOptimize(scope.New<Pair>());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_NewPair);

struct OwnedPair {
  OwnedPair* first = nullptr;
  OwnedPair* second = nullptr;
};

void BM_NewAndDelete(benchmark::State& state) {
  for (auto _ : state) {
    auto pair = std::make_unique<OwnedPair>();
    benchmark::DoNotOptimize(pair.get());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_NewAndDelete);

void BM_MakeShared(benchmark::State& state) {
  for (auto _ : state) {
    auto pair = std::make_shared<OwnedPair>();
    benchmark::DoNotOptimize(pair.get());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_MakeShared);

// A bump pointer that wraps around in 32 MiB, as much as is allocated between
// two collections: nothing can allocate the same objects in fewer steps.
void BM_BarePointerBump(benchmark::State& state) {
  constexpr size_t kPairs = (size_t{32} << 20) / sizeof(OwnedPair);
  const auto memory = std::make_unique<OwnedPair[]>(kPairs);
  OwnedPair* next = memory.get();
  OwnedPair* const limit = next + kPairs;
  for (auto _ : state) {
    if (next == limit) next = memory.get();
    *next = OwnedPair();
    benchmark::DoNotOptimize(next);
    ++next;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_BarePointerBump);

}  // namespace
