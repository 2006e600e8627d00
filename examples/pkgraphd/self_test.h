// A daemon that is driven by clients of its own process, over HTTP.
//
// Several clients ask for whatever there is, as fast as they are answered, one
// of them breaking off midway, while the index is read again each second. Each
// answer has to be the one that was given to the same question first: so the
// file has to stay the same meanwhile. In the end no task may be left that
// holds objects, and no graph but the current one.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_H_
#define BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_H_

#include <ostream>

#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/daemon.h"

namespace bibop::pkgraphd {

// Drives the daemon, which nobody else uses, for so long; shuts it down within
// `grace`; and writes a summary. Returns whether all went well.
//
// REQUIRES: the daemon listens on an IPv4 address.
bool RunSelfTest(Daemon& daemon, absl::Duration duration, absl::Duration grace,
                 std::ostream& out);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_H_
