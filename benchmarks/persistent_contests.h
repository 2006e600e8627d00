// The contests of //benchmarks:handles that are about Persistents: what it
// costs to make and destroy one.
//
//   persistent            one, made and destroyed
//   persistent_thousand   a thousand are made, then destroyed in another order
//   persistent_elsewhere  a thousand are made by one thread and destroyed by
//                         another, while the first makes the next thousand; the
//                         processor time of both
//
// With `bibop`, whose object exists already, compete
//
//   pool        a hand-written pool for one thread: a slot comes off a list of
//               free ones, the pointer is stored in it, and it goes back onto
//               the list; there are more in blocks
//   glibc, ...  a std::shared_ptr from std::make_shared, with its object, which
//               is what keeps an object alive otherwise; the process has a
//               second thread, for without one neither its counts nor malloc
//               are safe for threads
//   attached, unattached   in persistent_elsewhere: Bibop, the thread that
//               destroys being attached to the heap or not

#ifndef BIBOP_BENCHMARKS_PERSISTENT_CONTESTS_H_
#define BIBOP_BENCHMARKS_PERSISTENT_CONTESTS_H_

#include <cstdint>
#include <vector>

#include "bibop/benchmarks/contest.h"

namespace bibop::benchmarks {

// The contests, for so many operations each, which is a multiple of a thousand.
// Their figure is "ns_per_operation", of processor time.
std::vector<Contest> PersistentContests(int64_t operations);

// What is to be reached.
std::vector<Derived> DerivePersistents(Figures median);

}  // namespace bibop::benchmarks

#endif  // BIBOP_BENCHMARKS_PERSISTENT_CONTESTS_H_
