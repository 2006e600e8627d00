// Marking while mutators run (marker/, handles/local_snapshot.h): what was
// reachable when the mark began is found.
//
// Checked: when the mark has finished, and from then on until sweeping begins,
// everything that handles, Persistents, or marked objects lead to is marked; and
// the marker never looks into an object that is being constructed.
//
// A mutator's operation happens between two safepoints, and consists of steps
// between which others run. The collector stops the world, or has a mutator
// answer, only between operations: safepoint.pml shows that, and that what a
// mutator did before is visible then. Elsewhere what a new object's mutator
// wrote, its mark byte and its field, is visible to the marker once a fence or
// a release came after it, and not before.
//
// Objects have one field each, and numbers; 0 is null. Three searches begin
// differently, for all together would take too long:
//
//   (nothing)  handles refer to 1 or 2, 1 refers to 2, and that to 3
//   ROOTS      handles refer to 1, one Persistent to 2, another to 3 or nothing
//   WEAK       handles refer to 1, and that to 2; nothing but a weak reference
//              refers to 3, which refers to 4

#define OBJECTS 5
#define NEW 5  // is allocated by mutator 0

#define OPERATIONS_0 3  // of mutator 0
#ifdef ROOTS
#define OPERATIONS_1 1
#else
#define OPERATIONS_1 2
#endif

#define IDLE 0
#define MARKING 1
#define CLEARING 2
byte phase = IDLE;
bool birth_mark;  // whether objects are born marked

#define BIT(object) (1 << (object))

byte field[OBJECTS + 1];
byte marked;     // sets of objects
byte constructed;  // whose field was initialized, visibly
bool allocated;    // whether NEW was
// What the mutator that allocated has done and others do not see yet.
bool mark_unseen;
bool field_unseen;

// ---- roots ----

// Two handles of each mutator, numbers 0 and 1 are mutator 0's.
byte handle[4];
// Persistents: number 0 is released by a thread that is not attached, number 1
// is made, released and read by mutator 0.
#define FREE 255
#define RELEASED 128  // the tag
byte slot[2];
bool owned[2];  // whether a Persistent still has the slot
bool read_in_mark;  // whether Persistent 0 was

// ---- marking ----

byte snapshot[2];  // the mutators' buffers, as sets
byte queue;        // the mark queue, as a set
byte grey;         // the marker's own, as a set
bool all_marked;

// ---- safepoints ----

bool stopping;
bool in_operation[2];

// Whether all that the roots lead to is marked.
inline CheckReachable() {
  d_step {
    reached = BIT(handle[0]) | BIT(handle[1]) | BIT(handle[2]) | BIT(handle[3]);
    o = 0;
    do
    :: o < 2 ->
      if
      :: owned[o] -> reached = reached | BIT(slot[o])
      :: else
      fi;
      o++
    :: else -> break
    od;
    reached = reached | marked;
    // Thrice, as long as a path can be.
    round = 0;
    do
    :: round < 3 ->
      o = 1;
      do
      :: o <= OBJECTS ->
        if
        :: reached & BIT(o) -> reached = reached | BIT(field[o])
        :: else
        fi;
        o++
      :: else -> break
      od;
      round++
    :: else -> break
    od;
    reached = reached & ~BIT(0);
    // The mutator that allocated an object knows that it is marked.
    if
    :: mark_unseen -> reached = reached & ~BIT(NEW)
    :: else
    fi;
    assert((reached & ~marked) == 0);
    reached = 0;
    round = 0;
    o = 0
  }
}

// ---- a mutator ----

inline Shade(object) {
  if
  :: atomic {
      phase == MARKING && (object) != 0 && !(marked & BIT(object)) ->
      snapshot[i] = snapshot[i] | BIT(object);
      if
      :: true
      :: queue = queue | snapshot[i]; snapshot[i] = 0  // It was full.
      fi
    }
  :: else
  fi
}

// A release, or a fence: what the thread did is visible.
inline Publish() {
  d_step {
    if
    :: mark_unseen -> marked = marked | BIT(NEW); mark_unseen = false
    :: else
    fi;
    if
    :: field_unseen -> constructed = constructed | BIT(NEW); field_unseen = false
    :: else
    fi
  }
}

// to->field = value, the last of which ends the operation.
inline Store(to, value) {
  on = (phase != IDLE);
#ifdef MUTANT_SAFEPOINT_IN_BARRIER
  in_operation[i] = false;
  atomic { !stopping -> in_operation[i] = true }
#endif
#ifndef MUTANT_NO_BARRIER
  if
  :: on ->
#ifdef MUTANT_NEW_VALUE_BARRIER
    old = value;
#else
    old = field[to];
#endif
    Shade(old)
  :: else
  fi;
#endif
  d_step {
    Publish();
    field[to] = value;
    on = false;
    old = 0;
    in_operation[i] = false
  }
}

inline Allocate(target) {
  // A region is handed out.
  allocated = true;
#ifndef MUTANT_WHITE_ALLOCATION
  mark_unseen = birth_mark;
#endif
#ifndef MUTANT_NO_FENCE
  Publish();
#endif
  // The constructor runs.
  field[NEW] = 0;
  field_unseen = true;
  target = NEW
}

// An operation begins, if it can.
#define MAY_BEGIN (left > 0 && !stopping)

// The mutator's handles.
#define A handle[2 * i]
#define B handle[2 * i + 1]

proctype Mutator(byte i) {
  byte left, old;
  bool on;
  if
  :: i == 0 -> left = OPERATIONS_0
  :: else -> left = OPERATIONS_1
  fi;
  do
  // B = A->field, A = B->field, and the end of a scope.
  :: d_step { MAY_BEGIN && A != 0 -> left--; B = field[A] }
  :: d_step { MAY_BEGIN && B != 0 -> left--; A = field[B] }
  :: d_step { MAY_BEGIN && B != 0 -> left--; B = 0 }
  // A->field = B
  :: atomic { MAY_BEGIN && A != 0 -> left--; in_operation[i] = true }
    Store(A, B)
  :: d_step { MAY_BEGIN && i == 0 && !allocated -> left--; Allocate(B) }
#ifdef ROOTS
  // A Persistent is read, made and released.
  :: d_step { MAY_BEGIN && owned[0] -> left--;
      A = slot[0];
      read_in_mark = (phase == MARKING) }
  :: d_step { MAY_BEGIN && i == 0 && owned[1] -> left--; A = slot[1] }
  :: d_step { MAY_BEGIN && i == 0 && !owned[1] && B != 0 -> left--;
      owned[1] = true;
      slot[1] = B }  // relaxed
  :: atomic { MAY_BEGIN && i == 0 && owned[1] -> left--;
      in_operation[i] = true;
      owned[1] = false }
#ifndef MUTANT_RELEASE_WITHOUT_SHADE
    Shade(slot[1]);
#endif
    atomic { slot[1] = FREE; in_operation[i] = false }
#endif
#ifdef WEAK
  // A weak reference is read. What clearing does is in weak.pml.
  :: atomic { MAY_BEGIN && i == 0 && (phase != CLEARING || marked & BIT(3)) ->
      left--;
      Shade(3);
      A = 3 }
#endif
  :: left == 0 -> break
  :: A == 0 && B == 0 -> break  // There may be nothing to do.
  od
}

// A thread that is not attached destroys Persistent 0. Whoever read that before
// is done: they agree on it, so the thread knows of the mark if one of them did.
// If not it may not have heard of it.
proctype Unattached() {
  bool marking;
  atomic {
    owned[0] = false;
    if
    :: marking = (phase == MARKING)
    :: !read_in_mark -> marking = false
    fi
  }
#ifdef MUTANT_RELEASE_WITHOUT_TAG
  slot[0] = FREE
#else
  if
  :: marking -> slot[0] = slot[0] | RELEASED
  :: else -> slot[0] = FREE
  fi
#endif
}

// ---- the collector ----

inline Stop() {
  stopping = true;
  !in_operation[0] && !in_operation[1]
}
inline Resume() { stopping = false }

inline Grey(object) {
  if
  :: (object) != 0 -> grey = grey | BIT(object)
  :: else
  fi
}

// Marks one object of those that are grey.
inline MarkOne() {
  d_step {
    if
    :: grey & BIT(1) -> o = 1
    :: grey & BIT(2) -> o = 2
    :: grey & BIT(3) -> o = 3
    :: grey & BIT(4) -> o = 4
    :: grey & BIT(5) -> o = 5
    fi;
    grey = grey & ~BIT(o);
    if
    :: marked & BIT(o) -> o = 0
    :: else ->
      marked = marked | BIT(o);
      assert(constructed & BIT(o))
    fi
  }
  if
  :: d_step { o != 0 -> Grey(field[o]); o = 0 }
  :: else
  fi
}
inline TakeQueue() {
  d_step { grey = grey | queue; queue = 0 }
}
inline ScanSlots() {
  o = 0;
  do
  :: o < 2 ->
    d_step {
      if
      :: slot[o] != FREE -> Grey(slot[o] & ~RELEASED)
      :: else
      fi;
      o++
    }
  :: else -> o = 0; break
  od
}
// What is grey or in the queue, and all that leads to.
inline MarkAll() {
  do
  :: grey != 0 -> MarkOne()
  :: grey == 0 && queue != 0 -> TakeQueue()
  :: grey == 0 && queue == 0 -> break
  od
}

proctype Collector() {
  byte o, round, reached;
  Stop();
  d_step {
    birth_mark = true;
    // What was done before is visible. If the new object exists it is an
    // ordinary one.
    Publish();
    marked = 0;
#ifndef MUTANT_BARRIER_ON_AFTER_SCAN
    phase = MARKING;
#endif
    Grey(handle[0]);
    Grey(handle[1]);
    Grey(handle[2]);
    Grey(handle[3])
  }
  Resume();
#ifdef MUTANT_BARRIER_ON_AFTER_SCAN
  phase = MARKING;
#endif
  ScanSlots();
  do
  :: !all_marked ->
    MarkAll();
    // The handshake; no operation is stopped in the middle.
    atomic { !in_operation[0] -> queue = queue | snapshot[0]; snapshot[0] = 0 }
    atomic { !in_operation[1] -> queue = queue | snapshot[1]; snapshot[1] = 0 }
    if
    :: queue != 0
    :: else ->
      Stop();
      Publish();
#ifndef MUTANT_NO_FLUSH
      d_step {
        queue = queue | snapshot[0] | snapshot[1];
        snapshot[0] = 0;
        snapshot[1] = 0
      }
#endif
      // As much as may be done in a pause: one object.
      TakeQueue();
      if
      :: grey != 0 -> MarkOne()
      :: else
      fi;
#ifdef MUTANT_NO_RETRY
      all_marked = true;
#else
      all_marked = (grey == 0 && queue == 0);
#endif
      if
      :: all_marked ->
        phase = CLEARING;
        CheckReachable()
      :: else
      fi;
      Resume()
    fi
  :: else -> break
  od;
  // Sweeping begins. What was allocated since is born marked.
  atomic { birth_mark = false; phase = IDLE; CheckReachable() }
}

init {
  atomic {
    constructed = BIT(1) | BIT(2) | BIT(3) | BIT(4);
    slot[0] = FREE;
    slot[1] = FREE;
#ifdef ROOTS
    handle[0] = 1;
    handle[2] = 1;
    owned[0] = true;
    slot[0] = 2;
    if
    :: owned[1] = true; slot[1] = 3
    :: true
    fi;
    run Unattached();
#else
    field[1] = 2;
#ifdef WEAK
    field[3] = 4;
    handle[0] = 1;
    handle[2] = 1;
#else
    field[2] = 3;
    if
    :: handle[0] = 1
    :: handle[0] = 2
    fi;
    if
    :: handle[2] = 1
    :: handle[2] = 2
    fi;
#endif
#endif
    run Mutator(0);
    run Mutator(1);
    run Collector()
  }
}
