// Slots of strong Persistents (handles/root_slots.h) that a thread releases
// which no safepoint stops, while a mark may be on: it tags them, and they become
// free when the cycle clears.
//
// Checked: a slot that was released becomes free, once, in the next cycle that
// begins afterwards at the latest. What it does for its object is in
// marking.pml.

#define CYCLES 3

#define IN_USE 0
#define RELEASED 1  // in use, with the tag
#define FREE 2
byte slot = IN_USE;
byte freed;  // how often

bool any_released;
bool released;  // whether the thread is done

proctype Unattached() {
  bool tags;
  // It may not know yet that a mark has begun, or ended.
  if
  :: tags = true
  :: tags = false
  fi;
  if
  :: tags ->
#ifdef MUTANT_TELL_BEFORE_TAG
    any_released = true;
    slot = RELEASED;
#else
    slot = RELEASED;
#ifndef MUTANT_NO_TELL
    any_released = true;
#endif
#endif
  :: else -> slot = FREE; freed++
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
    if
    :: any_released
    :: true  // There are weak slots to be cleared.
    :: !any_released -> goto nothing_to_clear
    fi;
#ifdef MUTANT_RESET_BY_STORE
    // It may become visible after the look at the slot.
    seen = (slot == RELEASED);
    any_released = false;
#else
    any_released = false;
    seen = (slot == RELEASED);
#endif
    if
    :: seen -> slot = FREE; freed++
    :: else
    fi;
nothing_to_clear:
    assert(!before || slot == FREE);
    cycle++
  :: else -> break
  od;
  assert(freed <= 1)
}

init {
  atomic {
    run Unattached();
    run Collector()
  }
}
