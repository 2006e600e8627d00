// Slots of strong Persistents (handles/root_slots.h) that a thread releases
// which no safepoint stops, while a mark may be on: it tags them, and they become
// free when the cycle clears.
//
// In the end the heap goes, and the pool with it if no slot is in use.
//
// Checked: a slot that was released becomes free, once, in the next cycle that
// begins afterwards at the latest; the thread does not touch a pool that is
// gone. What the release does for its object is in marking.pml.

#define CYCLES 3

#define IN_USE 0
#define RELEASED 1  // in use, with the tag
#define FREE 2
byte slot = IN_USE;
byte freed;  // how often

bool any_released;
bool released;  // whether the thread is done
bool gone;      // whether the pool is

inline Tell() {
  assert(!gone);
  any_released = true
}

proctype Unattached() {
  bool tags;
  // It may not know yet that a mark has begun, or ended.
  if
  :: tags = true
  :: tags = false
  fi;
  if
  :: tags ->
#ifdef MUTANT_TELL_AFTER_TAG
    slot = RELEASED;
    Tell();
#else
    Tell();
    slot = RELEASED;
#endif
  :: else -> atomic { slot = FREE; freed++ }
  fi;
  released = true
}

proctype Collector() {
  byte cycle;
  bool seen, before;
  do
  :: cycle < CYCLES ->
    // It was released before the cycle began.
    before = released;
    // VisitStrong.
    seen = (slot == RELEASED);
#ifdef MUTANT_NO_LOOK
    seen = false;
#endif
    if
    :: any_released
    :: true  // There are weak slots to be cleared.
    :: seen
    :: !any_released && !seen -> goto nothing_to_clear
    fi;
    any_released = false;
    if
    :: slot == RELEASED -> atomic { slot = FREE; freed++ }
    :: else
    fi;
nothing_to_clear:
    assert(!before || slot == FREE);
    cycle++
  :: else -> break
  od;
  assert(freed <= 1);
  // Abandon.
  atomic {
    if
    :: slot != IN_USE -> gone = true
    :: else
    fi
  }
}

init {
  atomic {
    run Unattached();
    run Collector()
  }
}
