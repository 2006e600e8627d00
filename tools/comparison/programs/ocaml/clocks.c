// The clocks, in nanoseconds, without an allocation.

#include <caml/mlvalues.h>
#include <time.h>

static intnat Read(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (intnat)now.tv_sec * 1000000000 + now.tv_nsec;
}

intnat peer_now(value unit) {
  (void)unit;
  return Read(CLOCK_MONOTONIC);
}
value peer_now_boxed(value unit) { return Val_long(peer_now(unit)); }

intnat peer_cpu(value unit) {
  (void)unit;
  return Read(CLOCK_PROCESS_CPUTIME_ID);
}
value peer_cpu_boxed(value unit) { return Val_long(peer_cpu(unit)); }
