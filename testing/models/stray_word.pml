// A word in a container's memory that is no reference, but points at a cell
// which a mutator is handed while the heap is being marked (heap/block.h,
// ReadyCells; handles/local_snapshot.h, ShadeNew).
//
// Checked: the marker never traces what is not constructed, and in the end has
// traced the object, whose mark its mutator took back.

bool mark;  // whether the cell's mark byte is the epoch
bool alloc_bit;
bool constructed;
bool taken_back;
bool traced;  // since then
bool finishing;
bool finished;

// What Marker::Mark and Marker::Trace do with a pointer to the cell.
inline MarkAndTrace() {
  is_new = !mark;
#ifdef MUTANT_ALWAYS_STORE
  mark = true;
#else
  if
  :: is_new -> mark = true
  :: else
  fi;
#endif
  if
  :: is_new ->
    assert(constructed);
    traced = taken_back
  :: else
  fi
}

proctype Mutator() {
  bool shaded;
#ifdef MUTANT_BIT_FIRST
  alloc_bit = true;
  mark = true;
#else
  mark = true;
  alloc_bit = true;
#endif
#ifdef MUTANT_SHADE_INCOMPLETE
  atomic { mark = false; taken_back = true };
  constructed = true;
#else
  constructed = true;
  atomic { mark = false; taken_back = true };
#endif
  shaded = true;
  // A safepoint, at which what is marked by now is dropped.
  finishing;
  shaded = shaded && !mark;
  finished = !shaded;
  if
  :: shaded ->
    bool is_new;
    MarkAndTrace();
    finished = true
  :: else
  fi
}

proctype Marker() {
  bool is_new;
  byte words;
  do
  :: words < 2 ->
    if
    :: alloc_bit -> MarkAndTrace()
    :: else
    fi;
    words++
  :: else -> break
  od;
  finishing = true;
  finished;
  assert(traced)
}

init {
  atomic {
    run Mutator();
    run Marker()
  }
}
