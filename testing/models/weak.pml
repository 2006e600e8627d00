// Weak references (handles/barriers.h, handles/root_slots.h): read by mutators
// while the object is found dead, the reference cleared, the object swept and
// its memory used again.
//
// Checked: what a weak read returns is the object that the reference was made
// of, and lives; it returns nothing only if the object is dead; what handles
// refer to is never swept; nobody looks at the mark byte of memory that was
// given back.
//
// Objects have no fields: what leads to what is in marking.pml. Each has a block
// of its own, so that sweeping a dead one gives back its side record, the mark
// byte too. There are two epochs. A mutator's operation happens between two
// safepoints, see safepoint.pml.
//
// Memory order: the collector clears by a read-modify-write, so all that a
// reader may do wrong is to load too early, which is a mutant.

#define CYCLES 2
#define OPERATIONS 4  // of each mutator

#define CELLS 2
#define NOTHING 255  // an address of no object

// ---- cells ----

#define FREE 0
#define USED 1
#define UNSWEPT 2
byte state[CELLS];
// Which object is in it, 0 for none. What an address referred to is a fact that
// is checked, not one that the program knows.
byte object[CELLS];
byte mark[CELLS];
#define GONE 255
byte objects;  // how many there were

byte epoch = 1;
byte birth_mark;
bool may_sweep = true;

#define IDLE 0
#define MARKING 1
#define CLEARING 2
byte phase = IDLE;
bool collecting;  // collecting_heaps

// ---- references: an address, and the object that it was made of ----

// The weak slot. If it is in nobody's use its address is CACHED.
#define CACHED 254
byte slot, slot_object;
// What the WeakPersistent was made of.
byte wanted_object;
bool in_use;  // by a mutator: they agree on it

byte handle[2], handle_object[2];
byte snapshot[2];  // the mutators' buffers, as sets of addresses

bool stopping;
bool in_operation[2];

// ---- a mutator ----

inline LoadSlot() {
  d_step {
    loaded = (slot == CACHED -> NOTHING : slot);
    loaded_object = slot_object
  }
}
inline IsMarked(cell) {
  assert(mark[cell] != GONE);
  is_marked = (mark[cell] == epoch)
}

// WeakPersistent::Lock
inline ReadWeak() {
#ifdef MUTANT_LOAD_BEFORE_CHECK
  LoadSlot();
#endif
  if
  :: !collecting ->
#ifndef MUTANT_LOAD_BEFORE_CHECK
    LoadSlot()
#endif
  :: collecting ->
#ifndef MUTANT_LOAD_BEFORE_CHECK
    LoadSlot();
#endif
    if
    :: loaded == NOTHING
    :: else ->
      if
      :: phase == MARKING ->
#ifndef MUTANT_NO_SHADE
        snapshot[i] = snapshot[i] | (1 << loaded)
#endif
      :: phase == CLEARING ->
#ifndef MUTANT_NO_MARK_TEST
        d_step {
          IsMarked(loaded);
          if
          :: !is_marked -> loaded = NOTHING
          :: else
          fi;
          is_marked = false
        }
#endif
      :: phase == IDLE ->
#ifndef MUTANT_NO_RELOAD
        LoadSlot()
#endif
      fi
    fi
  fi;
  d_step {
    if
    :: loaded == NOTHING ->
      assert(handle_object[0] != wanted_object);
      assert(handle_object[1] != wanted_object);
      handle_object[i] = 0
    :: else ->
      assert(loaded_object == wanted_object);
      assert(object[loaded] == loaded_object);
      handle_object[i] = loaded_object
    fi;
    handle[i] = loaded;
    loaded = 0;
    loaded_object = 0;
    in_use = false;
    in_operation[i] = false
  }
}

// Sweeps a block; gives it back if nothing lives in it.
inline Sweep(c) {
  d_step {
    if
    :: mark[c] == epoch -> state[c] = USED
    :: else ->
      assert(handle_object[0] != object[c]);
      assert(handle_object[1] != object[c]);
      state[c] = FREE;
      object[c] = 0;
      mark[c] = GONE
    fi
  }
}
#define ANY_UNSWEPT (state[0] == UNSWEPT || state[1] == UNSWEPT)
inline SweepOne() {
  if
  :: state[0] == UNSWEPT -> Sweep(0)
  :: else -> Sweep(1)
  fi
}

// handle = new
inline Allocate() {
  do
  :: state[0] != FREE && state[1] != FREE && may_sweep && ANY_UNSWEPT ->
    SweepOne()
  :: else -> break
  od;
  if
  :: state[0] == FREE -> c = 0
  :: state[0] != FREE && state[1] == FREE -> c = 1
  :: else -> c = NOTHING
  fi;
  if
  :: c != NOTHING ->
    objects++;
    state[c] = USED;
    object[c] = objects;
    mark[c] = birth_mark;
    handle[i] = c;
    handle_object[i] = objects
  :: else
  fi;
  c = 0
}

#define MAY_BEGIN (left > 0 && !stopping)

proctype Mutator(byte i) {
  byte loaded, loaded_object, c;
  bool is_marked;
  byte left = OPERATIONS;
  do
  :: atomic { MAY_BEGIN && !in_use -> left--;
      in_operation[i] = true;
      in_use = true }
    ReadWeak()
  // The end of a scope.
  :: d_step { MAY_BEGIN && handle[i] != NOTHING -> left--;
      handle[i] = NOTHING;
      handle_object[i] = 0 }
  :: d_step { MAY_BEGIN -> left--; Allocate() }
  // Mutator 0 has the WeakPersistent: it makes another of what it has, for
  // which it may get the same slot.
  :: atomic { MAY_BEGIN && i == 0 && !in_use && handle[0] != NOTHING -> left--;
      in_operation[0] = true;
      in_use = true;
      slot = CACHED;
      slot_object = 0;
      wanted_object = handle_object[0] }
    atomic {
      slot = handle[0];
      slot_object = handle_object[0];
      in_use = false;
      in_operation[0] = false
    }
  :: left == 0 -> break
  od
}

// ---- the collector ----

inline Stop() {
  stopping = true;
  !in_operation[0] && !in_operation[1]
}
inline Resume() { stopping = false }
inline MarkAddress(a) {
  if
  :: a != NOTHING -> mark[a] = epoch
  :: else
  fi
}
inline MarkSnapshots() {
  if
  :: (snapshot[0] | snapshot[1]) & 1 -> mark[0] = epoch
  :: else
  fi;
  if
  :: (snapshot[0] | snapshot[1]) & 2 -> mark[1] = epoch
  :: else
  fi;
  snapshot[0] = 0;
  snapshot[1] = 0
}

// RootSlotPool::ClearDead
inline Clear() {
  word = slot;
  if
  :: word == CACHED || word == NOTHING
  :: else ->
    IsMarked(word);
    if
    :: is_marked
#ifdef MUTANT_CLEAR_BY_STORE
    :: !is_marked -> atomic { slot = NOTHING; slot_object = 0 }
#else
    :: !is_marked ->
      atomic {
        if
        :: slot == word -> slot = NOTHING; slot_object = 0
        :: else
        fi
      }
#endif
    fi;
    is_marked = false
  fi;
  word = 0
}

proctype Collector() {
  byte word;
  bool is_marked;
  byte left = CYCLES;
  do
  :: left > 0 ->
    left--;
    d_step {
      do
      :: ANY_UNSWEPT -> SweepOne()
      :: else -> break
      od;
      may_sweep = false
    }
    // MarkStart
    Stop();
    d_step {
      epoch = 3 - epoch;
      birth_mark = epoch;
      phase = MARKING;
      collecting = true;
      MarkAddress(handle[0]);
      MarkAddress(handle[1]);
      stopping = false
    }
    // MarkFinish
    Stop();
    d_step {
      MarkSnapshots();
      if
      :: state[0] == USED -> state[0] = UNSWEPT
      :: else
      fi;
      if
      :: state[1] == USED -> state[1] = UNSWEPT
      :: else
      fi;
#ifdef MUTANT_WHITE_WHILE_CLEARING
      birth_mark = 0;
#endif
      phase = CLEARING;
      stopping = false
    }
#ifdef MUTANT_CLEAR_AFTER_SWEEP
    may_sweep = true;
#endif
    Clear();
#ifdef MUTANT_WHITE_BEFORE_IDLE
    birth_mark = 0;
#endif
    phase = IDLE;
    collecting = false;
#ifndef MUTANT_SKIP_HANDSHAKE
    !in_operation[0];
    !in_operation[1];
#endif
    birth_mark = 0;
    may_sweep = true
  :: else -> break
  od
}

// The background.
proctype Keeper() {
end:
  do
  :: d_step { may_sweep && ANY_UNSWEPT -> SweepOne() }
  od
}

init {
  atomic {
    objects = 1;
    wanted_object = 1;
    state[0] = USED;
    object[0] = 1;
    slot = 0;
    slot_object = 1;
    handle[0] = 0;
    handle_object[0] = 1;
    handle[1] = NOTHING;
    run Mutator(0);
    run Mutator(1);
    run Keeper();
    run Collector()
  }
}
