// Blocks from one mark to the next (heap/object_heap.h, heap/local_allocator.h,
// heap/sweep.h): regions are handed out and retired, blocks wait to be swept and
// are swept by whoever needs room, in the background, or before the next mark.
//
// Checked: I-1, I-2 and I-3, by what they are for. No live object's cell is
// freed, no cell is handed out while an object is in it, dead or alive, and no
// destructor runs where no object is; what was dead when a mark began is freed
// before the next; and no object has the mark of an epoch that begins, although
// there are only two epochs, that come again and again.
//
// A mutator's operation happens between two safepoints, and the world stops
// between operations, as safepoint.pml shows. What a mutex guards is one step.
// Which objects live is a fact here, how the marker finds out is marking.pml's.

#define CYCLES 3
#define OPERATIONS_0 3  // of mutator 0
#define OPERATIONS_1 1

#define BLOCKS 2
#define CELLS 2  // of a block
#define ALL_CELLS 4
#define EPOCHS 2  // 1 to this; 31 in fact

// ---- cells ----

#define NONE 0
#define LIVE 1
#define DEAD 2
#define DOOMED 3  // dead when the mark began
byte object[ALL_CELLS];

bool alloc_bit[ALL_CELLS];
byte mark[ALL_CELLS];

// ---- blocks ----

// Where a block is: in one of the heap's lists, a mutator's, or somebody sweeps
// it.
#define FREE 0
#define UNSWEPT 1
#define AVAILABLE 2
#define FULL 3
#define SWEEPING 4
#define OWNED 5  // and 6, by mutator 1
byte place[BLOCKS];
byte marked_epoch[BLOCKS];

byte epoch = 1;
byte birth_mark;
bool may_sweep = true;
byte being_swept;

// ---- mutators ----

#define NO_BLOCK BLOCKS
byte block[2] = NO_BLOCK;  // the mutator's own
byte next[2];   // the region, as numbers of cells: what is left,
byte limit[2];  // and its end

bool stopping;
bool in_operation[2];

// ---- sweeping ----

// Takes an unswept block to sweep it.
inline TakeUnswept(b) {
  d_step {
    if
    :: place[0] == UNSWEPT -> b = 0
    :: else -> b = 1
    fi;
    assert(place[b] == UNSWEPT);
    place[b] = SWEEPING;
    being_swept++
  }
}
#define ANY_UNSWEPT (place[0] == UNSWEPT || place[1] == UNSWEPT)

inline SweepCell(b, c, e) {
  d_step {
    if
    :: alloc_bit[c] && (marked_epoch[b] != e || mark[c] != e) ->
      assert(object[c] == DEAD || object[c] == DOOMED);
      object[c] = NONE;
      alloc_bit[c] = false
    :: else
    fi
  }
}
// Sweeps block b for epoch e, without the mutex.
inline SweepBlock(b, e) {
  SweepCell(b, b * CELLS, e);
  SweepCell(b, b * CELLS + 1, e)
}
// Puts block b, which was swept, into a list, or makes it the mutator's whose
// place that is.
inline EndSweep(b, own) {
  d_step {
    being_swept--;
    if
    :: alloc_bit[b * CELLS] && alloc_bit[b * CELLS + 1] -> place[b] = FULL
    :: else ->
      if
      :: own != 0 -> place[b] = own
      :: own == 0 && !alloc_bit[b * CELLS] && !alloc_bit[b * CELLS + 1] ->
        place[b] = FREE
      :: else -> place[b] = AVAILABLE
      fi
    fi
  }
}

// The background.
proctype Keeper() {
  byte b, c, e;
end:
  do
  :: atomic { may_sweep && ANY_UNSWEPT -> TakeUnswept(b); e = epoch }
    SweepBlock(b, e);
    EndSweep(b, 0)
  od
}

// ---- regions ----

// The first run of free cells of the mutator's block after its region becomes
// its region.
inline HandOut() {
  d_step {
    c = limit[i];
    do
    :: c < (block[i] + 1) * CELLS && alloc_bit[c] -> c++
    :: else -> break
    od;
    next[i] = c;
    do
    :: c < (block[i] + 1) * CELLS && !alloc_bit[c] ->
      alloc_bit[c] = true;
#ifdef MUTANT_MARK_NOT_SET
      if
      :: birth_mark != 0 -> mark[c] = birth_mark
      :: else
      fi;
#else
      mark[c] = birth_mark;
#endif
      if
      :: birth_mark != 0 -> marked_epoch[block[i]] = birth_mark
      :: else
      fi;
      c++
    :: else -> break
    od;
    limit[i] = c;
    c = 0
  }
}

// Gives the region of mutator m up, and its block back.
inline Retire(m) {
  if
  :: d_step {
      block[m] != NO_BLOCK ->
#ifndef MUTANT_RETIRE_KEEPS_BITS
      do
      :: next[m] < limit[m] -> alloc_bit[next[m]] = false; next[m]++
      :: else -> break
      od;
#endif
      place[block[m]] = AVAILABLE;
      block[m] = NO_BLOCK;
      next[m] = 0;
      limit[m] = 0
    }
  :: else
  fi
}

// ---- a mutator ----

// Gets a block, if there is one.
inline Acquire() {
  if
  :: atomic { place[0] == AVAILABLE || place[1] == AVAILABLE ->
      if
      :: place[0] == AVAILABLE -> b = 0
      :: place[1] == AVAILABLE -> b = 1
      fi;
      place[b] = OWNED + i }
#ifdef MUTANT_ALLOCATE_UNSWEPT
  :: atomic { place[0] == UNSWEPT -> b = 0; place[b] = OWNED + i }
#endif
  :: atomic { place[0] != AVAILABLE && place[1] != AVAILABLE &&
      may_sweep && ANY_UNSWEPT -> TakeUnswept(b); e = epoch }
    SweepBlock(b, e);
    atomic {
      EndSweep(b, OWNED + i);
      if
      :: place[b] == FULL -> b = NO_BLOCK
      :: else
      fi
    }
  :: atomic { place[0] != AVAILABLE && place[1] != AVAILABLE &&
      !(may_sweep && ANY_UNSWEPT) ->
      if
      :: place[0] == FREE -> b = 0; place[b] = OWNED + i; marked_epoch[b] = 0
      :: place[1] == FREE -> b = 1; place[b] = OWNED + i; marked_epoch[b] = 0
      :: else -> b = NO_BLOCK
      fi }
  fi;
  d_step {
    block[i] = b;
    if
    :: b != NO_BLOCK -> next[i] = b * CELLS; limit[i] = b * CELLS
    :: else
    fi;
    b = 0
  }
}

inline Allocate() {
  if
  :: block[i] == NO_BLOCK -> Acquire()
  :: else
  fi;
  d_step {
    if
    :: block[i] != NO_BLOCK && next[i] == limit[i] -> HandOut()
    :: else
    fi;
    if
    :: block[i] != NO_BLOCK && next[i] == limit[i] ->
      // It is full.
      place[block[i]] = FULL;
      block[i] = NO_BLOCK
    :: else
    fi;
    c = next[i]
  }
  d_step {
    if
    :: block[i] != NO_BLOCK ->
      assert(object[c] == NONE);
      object[c] = LIVE;
      next[i] = c + 1
    :: else
    fi;
    c = 0;
    in_operation[i] = false
  }
}

proctype Mutator(byte i) {
  byte b, c, e;
  byte left = (i == 0 -> OPERATIONS_0 : OPERATIONS_1);
  do
  :: atomic { left > 0 && !stopping -> left--; in_operation[i] = true }
    Allocate()
  // Nothing refers to an object any more.
  :: d_step {
      left > 0 && (object[0] == LIVE || object[1] == LIVE ||
                   object[2] == LIVE || object[3] == LIVE) ->
      left--;
      if
      :: object[0] == LIVE -> object[0] = DEAD
      :: else ->
        if
        :: object[1] == LIVE -> object[1] = DEAD
        :: else ->
          if
          :: object[2] == LIVE -> object[2] = DEAD
          :: else -> object[3] = DEAD
          fi
        fi
      fi
    }
  :: left == 0 -> break
  od;
  // It detaches, or not.
  if
  :: atomic { !stopping -> Retire(i) }
  :: true
  fi
}

// ---- the collector ----

inline Stop() {
  stopping = true;
  !in_operation[0] && !in_operation[1]
}
inline Resume() { stopping = false }
inline RetireAll() {
  Retire(0);
  Retire(1)
}

inline FinishSweep() {
#ifndef MUTANT_NO_FINISH_SWEEP
  do
  :: atomic { ANY_UNSWEPT -> TakeUnswept(b); e = epoch }
    SweepBlock(b, e);
    EndSweep(b, 0);
    b = 0
  :: !ANY_UNSWEPT -> break
  od;
#endif
#if !defined(MUTANT_NO_WAIT_FOR_SWEEPERS) && !defined(MUTANT_NO_FINISH_SWEEP)
  atomic { being_swept == 0 -> may_sweep = false }
#else
  may_sweep = false
#endif
}

inline StartMark() {
  Stop();
#ifndef MUTANT_NO_RETIRE
  RetireAll();
#endif
  d_step {
#ifdef MUTANT_EPOCH_WRAPS_TO_ZERO
    epoch = (epoch == EPOCHS -> 0 : epoch + 1);
#else
    epoch = (epoch == EPOCHS -> 1 : epoch + 1);
#endif
#ifndef MUTANT_WHITE_ALLOCATION
    birth_mark = epoch;
#endif
    do
    :: c < ALL_CELLS ->
      assert(object[c] == NONE || alloc_bit[c]);  // I-1
      assert(object[c] == NONE || mark[c] != epoch);
      assert(object[c] != DOOMED);
      reachable[c] = (object[c] == LIVE);
      if
      :: object[c] == DEAD -> object[c] = DOOMED
      :: else
      fi;
      c++
    :: else -> c = 0; break
    od
  }
  Resume()
}

inline Mark(b) {
  d_step {
    c = b * CELLS;
    do
    :: c < (b + 1) * CELLS ->
      if
      :: reachable[c] ->
        reachable[c] = false;
        mark[c] = epoch;
        marked_epoch[b] = epoch
      :: else
      fi;
      c++
    :: else -> c = 0; break
    od
  }
}

inline FinishMark() {
#ifdef MUTANT_RETIRE_RUNNING
  RetireAll();
  Stop();
#else
  Stop();
#ifndef MUTANT_NO_RETIRE_AT_FINISH
  RetireAll();
#endif
#endif
  d_step {
    do
    :: b < BLOCKS ->
      if
      :: place[b] == AVAILABLE || place[b] == FULL -> place[b] = UNSWEPT
      :: else
      fi;
      b++
    :: else -> b = 0; break
    od
  }
  Resume()
}

proctype Collector() {
  byte b, c, e;
  byte left = CYCLES;
  bool reachable[ALL_CELLS];
  do
  :: left > 0 ->
    left--;
    FinishSweep();
    StartMark();
#ifdef MUTANT_SWEEP_WHILE_MARKING
    may_sweep = true;
    FinishMark();
#endif
    // Block by block, for that is how far apart the steps of others are.
    Mark(0);
    Mark(1);
#ifndef MUTANT_SWEEP_WHILE_MARKING
    FinishMark();
#endif
    // What is weak is cleared.
    birth_mark = 0;
    may_sweep = true
  :: else -> break
  od
}

init {
  atomic {
    run Mutator(0);
    run Mutator(1);
    run Keeper();
    run Collector()
  }
}
