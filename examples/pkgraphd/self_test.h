// A daemon that is driven by clients of its own process, over HTTP.
//
// Several clients ask for whatever there is, as fast as they are answered, and
// break off now and then, while the index is read again each second. Each
// answer has to be the one that was given to the same question first, so the
// file has to stay the same meanwhile; and those to different questions have to
// agree: what is in a closure has a path, each step of which /rdeps knows. In
// the end no task may be left that holds objects, no graph but the current one,
// and no answer may have failed.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_H_
#define BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_H_

#include <ostream>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/daemon.h"

namespace bibop::pkgraphd {

// Drives the daemon, which nobody else uses, until `wait` returns; shuts it
// down within `grace`; and writes a summary. Returns whether all went well. If
// `wait` returns false, it is broken off: it says so, returns false, and leaves
// the daemon as it is.
//
// REQUIRES: the daemon listens on an IPv4 address.
bool RunSelfTest(Daemon& daemon, absl::FunctionRef<bool()> wait,
                 absl::Duration grace, std::ostream& out);

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_H_
