// What an HTTP server has done so far.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_STATS_H_
#define BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_STATS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bibop::pkgraphd {

// A value. The counts are of different moments: they need not add up exactly.
struct HttpServerStats {
  // Now.
  int64_t open_connections = 0;
  int64_t requests_in_flight = 0;  // complete, and not answered completely

  // Since the server was made.
  int64_t connections_accepted = 0;  // the refused ones too
  int64_t connections_refused = 0;   // there were max_connections already
  int64_t requests_timed_out = 0;    // 408: the client was slow to send
  int64_t answers_timed_out = 0;     // the client was slow to take one
  int64_t requests_malformed = 0;    // refused before a handler saw them
  int64_t handler_failures = 0;      // what became a 500 or was cut short
  // Answers with status 2xx at [2], and so on; the refusals too.
  std::array<int64_t, 6> responses_by_class = {};
};

// The counts as the connections write them and any thread reads them. Each is a
// count of its own and orders nothing: all are relaxed.
class HttpServerCounters {
 public:
  using Count = std::atomic<int64_t>;

  static void Add(Count& count, int64_t n = 1) {
    count.fetch_add(n, std::memory_order_relaxed);
  }

  // Any thread.
  HttpServerStats Read() const {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    HttpServerStats stats{
        .open_connections = open_connections.load(kRelaxed),
        .requests_in_flight = requests_in_flight.load(kRelaxed),
        .connections_accepted = connections_accepted.load(kRelaxed),
        .connections_refused = connections_refused.load(kRelaxed),
        .requests_timed_out = requests_timed_out.load(kRelaxed),
        .answers_timed_out = answers_timed_out.load(kRelaxed),
        .requests_malformed = requests_malformed.load(kRelaxed),
        .handler_failures = handler_failures.load(kRelaxed),
    };
    for (size_t i = 0; i < responses_by_class.size(); ++i) {
      stats.responses_by_class[i] = responses_by_class[i].load(kRelaxed);
    }
    return stats;
  }

  Count open_connections = 0;
  Count requests_in_flight = 0;
  Count connections_accepted = 0;
  Count connections_refused = 0;
  Count requests_timed_out = 0;
  Count answers_timed_out = 0;
  Count requests_malformed = 0;
  Count handler_failures = 0;
  std::array<Count, 6> responses_by_class = {};
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_HTTP_SERVER_STATS_H_
