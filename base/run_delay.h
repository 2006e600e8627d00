// How long a thread has had to wait for a processor: so that the time that the
// system gave to others can be told apart from the time that something took.

#ifndef BIBOP_BASE_RUN_DELAY_H_
#define BIBOP_BASE_RUN_DELAY_H_

#include "absl/time/time.h"

namespace bibop {

// How long the calling thread has been runnable without running since it
// started; the time that it slept or was blocked is not in it. The difference
// of two calls is what it waited between them. Always zero where the system
// does not tell, and, so that the differences stay right, in threads that come
// to an end: called by the destructors of thread_locals.
//
// About half a microsecond; a thread's first call opens a file, which stays
// open until the thread ends. Any thread may call it. In the child of a fork it
// is for new threads: the thread that forked would read of its parent's.
absl::Duration ThreadRunDelay();

}  // namespace bibop

#endif  // BIBOP_BASE_RUN_DELAY_H_
