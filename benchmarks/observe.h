// Observe: what keeps a benchmark's work from being optimized away.

#ifndef BIBOP_BENCHMARKS_OBSERVE_H_
#define BIBOP_BENCHMARKS_OBSERVE_H_

namespace bibop::benchmarks {

// The compiler has to believe that somebody looks at `pointer`, and at
// everything in memory, and may change the latter. What every contestant does
// with every object or pointer. Any thread may call it.
inline void Observe(const void* pointer) {
  asm volatile("" : : "r"(pointer) : "memory");
}

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_OBSERVE_H_
