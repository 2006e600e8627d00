// The card of a field of an old object into which a mutator stores references
// to new objects, while marks come and go (heap/card_table.h, heap/marks.h).
//
// Checked (I-6): each mark finds what the field refers to, or that is old and
// needs no finding.
//
// The mutator runs but in the pauses in which a mark begins and ends. A minor
// mark looks at the card at some time between these and traces the object if
// the card is not clean; a major one traces it anyway, and looks at the card or
// does not.

#define MARKS 5
#define STORES 2

// How many marks have found an object; two: it is old.
#define OLD 2

// The object that a handle keeps, and that which the field does.
typedef Object {
  bool exists;
  byte found;
  bool alive;  // by the mark that runs
};
Object handle;
Object field;

byte card;  // 0 clean, 1 dirtied, 2 and 3 looked at by one mark and by two
bool marking;
bool running;   // the mutator is between two safepoints
bool stopping;

inline Find(object) {
  if
  :: object.exists && !object.alive ->
    object.found++;
    object.alive = true
  :: else
  fi
}

proctype Mutator() {
  byte stores;
  bool stored;
  do
  :: stores < STORES ->
    atomic { !stopping; running = true };
    // It may be at safepoints for long before the object is stored.
    atomic {
      handle.exists = true;
      handle.found = 0;
      handle.alive = marking
    };
    if
    :: running = false; atomic { !stopping; running = true }
    :: skip
    fi;
    // The store and the barrier, in either order. What was in the field is
    // nobody's, or shaded.
    stored = false;
    do
    :: !stored ->
      atomic {
        field.exists = true;
        field.found = handle.found;
        field.alive = handle.alive;
        handle.exists = false;
        stored = true
      }
#ifdef MUTANT_SAFEPOINT_BEFORE_BARRIER
      running = false;
      atomic { !stopping; running = true }
#endif
    :: card = 1; break
    od;
    if
    :: !stored ->
      atomic {
        field.exists = true;
        field.found = handle.found;
        field.alive = handle.alive;
        handle.exists = false
      }
    :: else
    fi;
    stores++;
    running = false
  :: else -> break
  od
}

inline LookAtCard() {
#ifdef MUTANT_LOOK_BY_STORE
  seen = card;
  if
#else
  atomic {
    seen = card;
    if
#endif
#ifdef MUTANT_CLEAN_AT_ONCE
  :: seen != 0 -> card = 0
#else
#ifdef MUTANT_TWO_LOOKS
  :: seen == 1 -> card = 2
  :: seen == 2 -> card = 0
#else
  :: seen == 1 || seen == 2 -> card = seen + 1
  :: seen == 3 -> card = 0
#endif
#endif
  :: else
  fi
#ifndef MUTANT_LOOK_BY_STORE
  }
#endif
}

proctype Collector() {
  byte marks;
  byte seen;
  bool minor;
  do
  :: marks < MARKS ->
    stopping = true;
    atomic {
      !running;
      marking = true;
      field.alive = field.found == OLD;
      handle.alive = handle.found == OLD;
      Find(handle);
      stopping = false
    };
    if
    :: minor = true
    :: minor = false
    fi;
    if
    :: minor ->
      LookAtCard();
#ifdef MUTANT_LOOK_TWICE
      LookAtCard();
#endif
      if
      :: seen != 0 -> atomic { Find(field) }
      :: else
      fi
    :: else ->
      if
      :: LookAtCard()
      :: skip
      fi;
      atomic { Find(field) }
    fi;
    stopping = true;
    atomic {
      !running;
      assert(!field.exists || field.alive);
      marking = false;
      stopping = false
    };
    marks++
  :: else -> break
  od
}

init {
  atomic {
    run Mutator();
    run Collector()
  }
}
