// What a scope costs, and a small allocation in it: to be read with objdump, or
// timed in a moment. The programs `handles` and `alloc` compare.
//
// The garbage that the allocations leave is collected as it would be in a
// program; its cost is part of the time.

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

}  // namespace
