// Safepoints (runtime/safepoints.h): mutators park, poll, attach and detach,
// while the collector stops the world or has each of them answer a handshake.
//
// Checked: while the world is stopped no mutator touches the heap, and whom the
// stopper got are those that are attached; a handshake's function runs once for
// each mutator, and never while that touches the heap; what one side did is
// visible to the other. Everything here takes a bounded number of steps, so
// that no state is a dead end means that everybody goes on: no deadlock and no
// lost wake-up.
//
// The mutex is absl's: who releases it looks whose condition is true, and wakes
// those up. A change that is made without it wakes nobody.
//
// Memory order: what a thread did is visible once it has released and the other
// has acquired, and not before, which is weaker than any processor.

#ifdef THREE_MUTATORS
#define MUTATORS 3
#define OPERATIONS 1  // of each mutator
#define ROUNDS 1      // stops or handshakes
#else
#define MUTATORS 2
#define OPERATIONS 3
#define ROUNDS 3
#endif

#define PARKED 1
#define REQUESTED 2

#define COLLECTOR MUTATORS
#define NOBODY 255

byte word[MUTATORS];
byte mutex = NOBODY;  // who holds it
bool attached[MUTATORS];
bool owes[MUTATORS];
byte pending;
bool stopping;
bool answering;  // answer_ is not null

// Who sleeps until its condition is true.
bool asleep[MUTATORS + 1];
bool attaching[MUTATORS];  // and what a mutator's condition is

// ---- what is checked ----

bool touching[MUTATORS];   // the heap, by the mutator
bool in_answer[MUTATORS];  // the handshake's function is running for it
byte answers[MUTATORS];    // how often it ran
bool stopped;              // the world
// Changes by a mutator, and by the collector on its behalf, that the other has
// not seen.
#define CLEAN 0
#define CHANGED 1
#define RELEASED 2
byte by_mutator[MUTATORS];
byte by_collector[MUTATORS];

inline MutatorReleases(i) {
  if
  :: by_mutator[i] == CHANGED -> by_mutator[i] = RELEASED
  :: else
  fi
}
inline MutatorAcquires(i) {
  if
  :: by_collector[i] == RELEASED -> by_collector[i] = CLEAN
  :: else
  fi
}
inline CollectorReleases(i) {
  if
  :: by_collector[i] == CHANGED -> by_collector[i] = RELEASED
  :: else
  fi
}
inline CollectorAcquires(i) {
  if
  :: by_mutator[i] == RELEASED -> by_mutator[i] = CLEAN
  :: else
  fi
}

#if MUTATORS > 2
#define ForEachMutator(F) F(0); F(1); F(2)
#else
#define ForEachMutator(F) F(0); F(1)
#endif

// ---- the mutex ----

// Wakes those up whose condition is true.
#define WAITS(k) (asleep[k] && (attaching[k] -> stopping : word[k] & REQUESTED))
inline Wake() {
  asleep[0] = WAITS(0);
  asleep[1] = WAITS(1);
#if MUTATORS > 2
  asleep[2] = WAITS(2);
#endif
  asleep[COLLECTOR] = asleep[COLLECTOR] && pending != 0
}
inline Lock(i) {
  atomic {
    mutex == NOBODY -> mutex = i;
    if
    :: i == COLLECTOR -> ForEachMutator(CollectorAcquires)
    :: else -> MutatorAcquires(i)
    fi
  }
}
inline Unlock(i) {
  atomic {
    if
    :: i == COLLECTOR -> ForEachMutator(CollectorReleases)
    :: else -> MutatorReleases(i)
    fi;
    mutex = NOBODY;
    Wake()
  }
}
#ifdef MUTANT_NO_RECHECK
#define CHECKED_AGAIN true
#else
#define CHECKED_AGAIN false
#endif
// Waits, as holder of the mutex, for a condition: for a moment without sleeping.
inline Await(i, condition) {
  Unlock(i);
  Lock(i);
  do
  :: condition -> break
  :: else ->
    atomic { asleep[i] = true; Unlock(i) }
    !asleep[i];
    Lock(i);
    if
    :: CHECKED_AGAIN -> break
    :: else
    fi
  od
}

// ---- what both do ----

// Runs the handshake's function for mutator i, on its thread or for it.
inline Answer(i, by_itself) {
  assert(!touching[i] && !in_answer[i]);
  in_answer[i] = true;
  if
  :: by_itself -> assert(by_collector[i] == CLEAN); by_mutator[i] = CHANGED
  :: else -> assert(by_mutator[i] == CLEAN); by_collector[i] = CHANGED
  fi;
  answers[i]++;
  in_answer[i] = false
}
inline ClearRequest(i) {
  atomic {
    word[i] = word[i] & PARKED;
    CollectorReleases(i)
  }
}

// ---- a mutator ----

inline GiveAnswer(i) {
  if
  :: owes[i] ->
    owes[i] = false;
    if
    :: answering -> Answer(i, true); ClearRequest(i)
    :: else
    fi;
    pending--
  :: else
  fi
}
inline StopHere(i) {
  Lock(i);
  GiveAnswer(i);
  if
  :: word[i] & REQUESTED ->
    word[i] = word[i] | PARKED;
    Await(i, !(word[i] & REQUESTED));
    word[i] = word[i] & REQUESTED
  :: else
  fi;
  Unlock(i)
}
inline Poll(i) {
  if
  :: word[i] != 0 -> StopHere(i)
  :: else
  fi
}
inline Park(i) {
#ifdef MUTANT_PARK_BY_STORE
  atomic { word[i] = PARKED; MutatorReleases(i) }
#else
  if
  :: atomic {
      word[i] == 0 -> word[i] = PARKED;
#ifndef MUTANT_RELAXED_PARK
      MutatorReleases(i)
#endif
    }
  :: word[i] != 0 ->
    Lock(i);
    word[i] = word[i] | PARKED;
    GiveAnswer(i);
    Unlock(i)
  fi
#endif
}
inline Unpark(i) {
#ifdef MUTANT_UNPARK_BY_STORE
  atomic { word[i] = 0; MutatorAcquires(i) }
#else
  if
  :: atomic {
      word[i] == PARKED -> word[i] = 0;
#ifndef MUTANT_RELAXED_UNPARK
      MutatorAcquires(i)
#endif
    }
  :: word[i] != PARKED ->
    Lock(i);
    Await(i, !(word[i] & REQUESTED));
    word[i] = word[i] & REQUESTED;
    Unlock(i)
  fi
#endif
}
inline Touch(i) {
  atomic {
    assert(attached[i] && !stopped && !in_answer[i]);
    assert(by_collector[i] == CLEAN);
    by_mutator[i] = CHANGED;
    touching[i] = true
  }
  touching[i] = false
}

proctype Mutator(byte i) {
  byte left = OPERATIONS;
  Lock(i);
  attaching[i] = true;
#ifndef MUTANT_ATTACH_WITHOUT_WAIT
  Await(i, !stopping);
#endif
  attaching[i] = false;
  attached[i] = true;
  Unlock(i);
  do
  :: left > 0 ->
    left--;
    if
    :: Poll(i)
    :: Touch(i)
    :: Park(i); Unpark(i)
    fi
  :: break
  od;
  if
  :: Park(i)  // for good
  ::
    Lock(i);
#ifndef MUTANT_DETACH_WITHOUT_ANSWER
    GiveAnswer(i);
#endif
    atomic { attached[i] = false; word[i] = 0 }
    Unlock(i)
  fi
}

// ---- the collector ----

// fetch_or(kRequested), and whether it has to be waited for.
inline Request(j) {
  atomic {
    owes[j] = !(word[j] & PARKED);
    word[j] = word[j] | REQUESTED;
    CollectorAcquires(j);
    pending = pending + owes[j]
  }
}

// Notes which mutators the stopper gets.
inline List() {
  atomic {
    j = 0;
    do
    :: j < MUTATORS -> listed[j] = attached[j]; j++
    :: else -> break
    od;
    j = 0
  }
}

inline StopTheWorld() {
  Lock(COLLECTOR);
  stopping = true;
#ifdef MUTANT_LIST_BEFORE_WAIT
  List();
#endif
  do
  :: j < MUTATORS ->
    if
    :: attached[j] -> Request(j)
    :: else
    fi;
    j++
  :: else -> j = 0; break
  od;
  Await(COLLECTOR, pending == 0);
#ifndef MUTANT_LIST_BEFORE_WAIT
  List();
#endif
  Unlock(COLLECTOR)
}
inline ResumeTheWorld() {
#ifndef MUTANT_WAKE_WITHOUT_MUTEX
  Lock(COLLECTOR);
#endif
  stopping = false;
  do
  :: j < MUTATORS ->
    if
    :: attached[j] -> ClearRequest(j)
    :: else
    fi;
    j++
  :: else -> j = 0; break
  od;
#ifndef MUTANT_WAKE_WITHOUT_MUTEX
  Unlock(COLLECTOR)
#endif
}

inline Handshake() {
  Lock(COLLECTOR);
  do
  :: j < MUTATORS ->
    if
    :: attached[j] ->
      listed[j] = true;
#ifdef MUTANT_ANSWER_WITHOUT_REQUEST
      if
      :: word[j] & PARKED -> CollectorAcquires(j); Answer(j, false)
      :: else -> Request(j)
      fi
#else
      Request(j);
      if
      :: !owes[j] -> Answer(j, false); ClearRequest(j)
      :: else
      fi
#endif
    :: else -> listed[j] = false
    fi;
    j++
  :: else -> j = 0; break
  od;
  answering = true;
#ifndef MUTANT_NO_WAIT_FOR_ANSWERS
  Await(COLLECTOR, pending == 0);
#endif
  answering = false;
  Unlock(COLLECTOR)
}

proctype Collector() {
  byte j;
  byte left = ROUNDS;
  bool listed[MUTATORS];
  do
  :: left > 0 ->
    left--;
    if
    :: StopTheWorld();
      stopped = true;
      // Does something for each, as if it were that.
      do
      :: j < MUTATORS ->
        assert(listed[j] == attached[j]);
        assert(!touching[j]);
        if
        :: attached[j] ->
          assert(by_mutator[j] == CLEAN);
          by_collector[j] = CHANGED
        :: else
        fi;
        j++
      :: else -> j = 0; break
      od;
      stopped = false;
      ResumeTheWorld()
    :: Handshake();
      d_step {
        do
        :: j < MUTATORS ->
          assert(answers[j] == listed[j]);
          answers[j] = 0;
          j++
        :: else -> j = 0; break
        od
      }
    fi
  :: else -> break
  od
}

init {
  byte j;
  atomic {
    do
    :: j < MUTATORS -> run Mutator(j); j++
    :: else -> break
    od;
    run Collector()
  }
}
