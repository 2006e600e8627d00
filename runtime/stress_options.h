// StressOptions: what a heap does to make bugs show that would otherwise show
// on a bad day: collections at every turn, checks after each, and time for
// races. For tests, of Bibop and of programs that use it; a heap under stress
// is some ten to ten thousand times slower.
//
// The environment variable BIBOP_STRESS sets them for every heap of a process,
// as a list that is separated by commas:
//
//   every-nth-allocation=N   a collection at each Nth allocation; N from 1
//   every-safepoint          a collection at each safepoint, which includes the
//                            slow path of each allocation (with many objects
//                            alive both skip one turn for each 64 of them)
//   phase=PHASE              before that part of each cycle the collector waits
//                            until mutators have passed some safepoints:
//                            mark-start, marking, mark-finish, clearing,
//                            sweeping
//   verify                   after each mark everything is marked again, in
//                            another way, and compared; so are the heap's lists
//   verify=exact             also, nothing else may be marked where mutators
//                            did not run during the mark
//   clobber                  freed cells are overwritten with 0xD5 in every
//                            build
//   missing-roots=report     objects to which a stack refers and which no root
//   missing-roots=abort      keeps alive are told of, or abort the program
//   mode=MODE                HeapOptions::mode: concurrent, incremental,
//                            stop-the-world
//   markers=N                HeapOptions::markers
//   seed=S                   where the stress decides at random, it does so
//                            from this number, 1 or more; without it each
//                            process takes another
//
// docs/testing.md says how to use them. Plain values; any thread may call any
// function.

#ifndef BIBOP_RUNTIME_STRESS_OPTIONS_H_
#define BIBOP_RUNTIME_STRESS_OPTIONS_H_

#include <cstdint>

namespace bibop {

// The parts of a cycle before which the collector can wait. Mutators run
// meanwhile, except that in stop-the-world mode there is nothing between
// kMarkStart and kSweeping.
enum class StressPhase : uint8_t {
  kNone,
  kMarkStart,   // before the pause that begins it
  kMarking,     // after that pause
  kMarkFinish,  // before each pause that tries to end the mark
  kClearing,    // when the mark has ended
  kSweeping,    // when blocks may be swept
};

// What becomes of an object that only a stack refers to.
enum class MissingRoots : uint8_t { kIgnore, kReport, kAbort };

// What is compared after each mark.
enum class VerifyLevel : uint8_t {
  kNothing,
  // Whatever can be reached is marked; the heap's invariants hold; no weak
  // reference refers to an object that is not marked.
  kReachable,
  // And if mutators did not run during the mark, nothing else is marked. Not
  // for programs whose threads release Persistents or AsyncHandleScopes while
  // they are parked or not attached: then that may be.
  kExact,
};

struct StressOptions {
  // A collection at each Nth allocation of the heap, by whichever thread; 0 is
  // none. Allocations then all take the slow path.
  int64_t every_nth_allocation = 0;

  // A collection at each safepoint: where Mutator::Safepoint is called and in
  // the slow path of an allocation. Where the mode has more than one pause,
  // about every second time another is begun, so that the mutator runs beside
  // it until the next safepoint.
  bool every_safepoint = false;

  // Where the collector waits, for up to a millisecond.
  StressPhase phase = StressPhase::kNone;

  VerifyLevel verify = VerifyLevel::kNothing;

  // Freed cells are overwritten, of all heaps of the process from now on. In
  // checked builds they are anyhow.
  bool clobber = false;

  // Whether, when a mark has ended, words of the stacks and registers of
  // mutators are looked at for references to objects that are not marked.
  MissingRoots missing_roots = MissingRoots::kIgnore;

  // What random decisions are made from; 0 is another number in each process,
  // which is said in the log once.
  uint64_t seed = 0;

  // BIBOP_STRESS is not looked at: for tests that count collections, or that
  // test the stress itself.
  bool ignore_environment = false;

  // Whether anything is asked for.
  bool Any() const {
    return every_nth_allocation != 0 || every_safepoint ||
           phase != StressPhase::kNone || verify != VerifyLevel::kNothing ||
           clobber || missing_roots != MissingRoots::kIgnore;
  }
};

// What a test that counts collections, or measures, gives its heaps.
inline constexpr StressOptions kNoStress = {.ignore_environment = true};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_STRESS_OPTIONS_H_
