// The slots of tasks (handles/async_slots.h, handles/async_slot_chain.h): scopes
// go at any time, by a thread that no safepoint stops and that tells nobody,
// while a task's handles are used on several threads and a cycle looks at slots.
//
// Checked: when a mark has finished, and until sweeping begins, everything that
// handles and slots of open scopes hold is marked, and what they hold is never
// swept; the marker is never shown a dead object; a handle of a scope yields
// that scope's object or is found stale, though its block is another scope's.
//
// A mutator's operation consists of steps between which others run; the world
// stops between operations, as safepoint.pml shows. What a thread that is not
// attached does happens between any two steps.
//
// Block 0 is that of scope 1, whose slot holds object 1, and when that is gone
// of scope 2. Block 1 is scope 3's, which is open all the time. Blocks have one
// slot each. Object 2 is allocated by mutator 0.

#define CYCLES 2
#define OPERATIONS 3  // of each mutator

#define IDLE 0
#define MARKING 1
#define CLEARING 2
byte phase = IDLE;
bool birth_mark;

#define BIT(object) (1 << (object))
byte alive = 2;  // sets of objects: object 1
byte marked;

// ---- blocks ----

byte number[2];  // the scope's, 0 in a free block
bool taken[2];   // in the link: whether the slot is
byte slot[2];
bool open[4];    // by scope
byte held[4];    // by scope: what its slot is to hold

// ---- mutators and the marker ----

byte handle[2];  // one of each mutator
byte snapshot[2];
byte queue;
byte grey;
bool allocated;
bool stopping;
bool in_operation[2];

// Whether all that is held is marked, and alive.
inline CheckHeld() {
  d_step {
    reached = BIT(handle[0]) | BIT(handle[1]);
    o = 1;
    do
    :: o < 4 ->
      if
      :: open[o] -> reached = reached | BIT(held[o])
      :: else
      fi;
      o++
    :: else -> break
    od;
    reached = reached & ~BIT(0);
    assert((reached & ~marked) == 0);
    assert((reached & ~alive) == 0);
    reached = 0;
    o = 0
  }
}

inline Shade(object) {
  if
  :: atomic {
      phase == MARKING && !(marked & BIT(object)) ->
      snapshot[i] = snapshot[i] | BIT(object)
    }
  :: else
  fi
}

// Makes a handle of what the slot of scope 1 holds, unless that is gone.
inline Get() {
#ifdef MUTANT_CHECK_BEFORE_LOAD
  good = (number[0] == 1);
  object = slot[0];
#else
  object = slot[0];
  good = (number[0] == 1);
#endif
#ifdef MUTANT_SAFEPOINT_IN_GET
  in_operation[i] = false;
  atomic { !stopping -> in_operation[i] = true }
#endif
  if
  :: good ->
    assert(object == 1);
#ifndef MUTANT_NO_SHADE
    Shade(object);
#endif
    handle[i] = object
  :: else
  fi;
  d_step { object = 0; good = false; in_operation[i] = false }
}

// Takes the slot of a block for what the mutator's handle refers to.
inline Add(block, scope) {
  taken[block] = true;
  d_step {
    slot[block] = handle[i];
    held[scope] = handle[i];
    in_operation[i] = false
  }
}

#define MAY_BEGIN (left > 0 && !stopping)

proctype Mutator(byte i) {
  byte left = OPERATIONS;
  byte object;
  bool good;
  do
  :: atomic { MAY_BEGIN -> left--; in_operation[i] = true }
    Get()
  :: d_step { MAY_BEGIN && handle[i] != 0 -> left--; handle[i] = 0 }
  :: atomic { MAY_BEGIN && i == 0 && open[2] && !taken[0] && handle[0] != 0 ->
      left--; in_operation[0] = true }
    Add(0, 2)
  :: atomic { MAY_BEGIN && i == 0 && !taken[1] && handle[0] != 0 ->
      left--; in_operation[0] = true }
    Add(1, 3)
  :: d_step { MAY_BEGIN && i == 0 && !allocated -> left--;
      allocated = true;
      alive = alive | BIT(2);
      if
      :: birth_mark -> marked = marked | BIT(2)
      :: else
      fi;
      handle[0] = 2 }
  :: left == 0 -> break
  od
}

// Destroys scope 1 and makes scope 2 of its block.
proctype Unattached() {
  open[1] = false;
#ifdef MUTANT_NUMBER_AFTER_SLOT
  slot[0] = 0;
  number[0] = 0;
#else
  number[0] = 0;
#ifndef MUTANT_SLOT_NOT_CLEARED
  slot[0] = 0;
#endif
#endif
  taken[0] = false;
  d_step {
#ifdef MUTANT_NUMBER_AGAIN
    number[0] = 1;
#else
    number[0] = 2;
#endif
    open[2] = true
  }
}

// ---- the collector ----

inline Stop() {
  stopping = true;
  !in_operation[0] && !in_operation[1]
}
inline Resume() { stopping = false }

// Looks at the slots, one by one.
inline ScanSlots() {
  o = 0;
  do
  :: o < 2 ->
    if
    :: taken[o] ->
      d_step {
        if
        :: slot[o] != 0 ->
          assert(alive & BIT(slot[o]));
          grey = grey | BIT(slot[o])
        :: else
        fi
      }
    :: else
    fi;
    o++
  :: else -> o = 0; break
  od
}
inline MarkAll() {
  d_step { marked = marked | grey | queue; grey = 0; queue = 0 }
}

proctype Collector() {
  byte cycle, o, reached;
  do
  :: cycle < CYCLES ->
    Stop();
    d_step {
      birth_mark = true;
      marked = 0;
      phase = MARKING;
      grey = (BIT(handle[0]) | BIT(handle[1])) & ~BIT(0)
    }
    Resume();
#ifdef MUTANT_NO_SCAN
    skip;
#else
    ScanSlots();
#endif
    MarkAll();
    // The handshake; no operation is stopped in the middle.
    atomic { !in_operation[0] -> queue = queue | snapshot[0]; snapshot[0] = 0 }
    atomic { !in_operation[1] -> queue = queue | snapshot[1]; snapshot[1] = 0 }
    MarkAll();
    Stop();
    d_step {
      queue = snapshot[0] | snapshot[1];
      snapshot[0] = 0;
      snapshot[1] = 0
    }
    MarkAll();
    phase = CLEARING;
    CheckHeld();
    Resume();
    // Sweeping begins. What was allocated since is born marked.
    atomic {
      phase = IDLE;
      birth_mark = false;
      CheckHeld();
      alive = alive & marked
    }
    cycle++
  :: else -> break
  od
}

init {
  atomic {
    number[0] = 1;
    taken[0] = true;
    slot[0] = 1;
    open[1] = true;
    held[1] = 1;
    number[1] = 3;
    open[3] = true;
    run Mutator(0);
    run Mutator(1);
    run Unattached();
    run Collector()
  }
}
