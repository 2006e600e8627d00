#include "bibop/examples/pkgraphd/self_test.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/cycle_log.h"
#include "bibop/examples/pkgraphd/daemon.h"
#include "bibop/examples/pkgraphd/http_client.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"
#include "bibop/examples/pkgraphd/metrics.h"
#include "bibop/examples/pkgraphd/self_test_client.h"

namespace bibop::pkgraphd {
namespace {

constexpr int kClients = 8;

// Asks for the index to be read again each second until `stop`. Returns how
// often.
int64_t ReloadEachSecond(const Daemon& daemon, const absl::Notification& stop,
                         Findings& findings) {
  HttpClient client({.address = daemon.address(), .port = daemon.port()});
  int64_t reloads = 0;
  do {
    const absl::StatusOr<HttpReply> reply =
        client.Post("/reload", "text/plain", "");
    if (Check("/reload", reply, 200, findings)) ++reloads;
  } while (!stop.WaitForNotificationWithTimeout(absl::Seconds(1)));
  return reloads;
}

// Whether `is_so` becomes true within some seconds.
bool Becomes(absl::FunctionRef<bool()> is_so) {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (!is_so()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

std::string Short(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Microseconds(1)));
}

}  // namespace

bool RunSelfTest(Daemon& daemon, absl::FunctionRef<bool()> wait,
                 absl::Duration grace, std::ostream& out) {
  Findings findings;
  const size_t idle_scopes = daemon.heap().CountAsyncScopes();
  const std::vector<std::string> names = SomeNames(daemon, findings);
  if (names.empty()) {
    out << "self-test: /search finds no name" << std::endl;
    return false;
  }

  const absl::Time start = absl::Now();
  absl::Notification stop;
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kClients; ++i) {
    threads.emplace_back(
        [&, i] { SelfTestClient(daemon, names, i, findings).Run(stop); });
  }
  int64_t reloads = 0;
  threads.emplace_back(
      [&] { reloads = ReloadEachSecond(daemon, stop, findings); });
  const bool is_complete = wait();
  stop.Notify();
  for (std::thread& thread : threads) thread.join();
  const absl::Duration elapsed = absl::Now() - start;
  if (!is_complete) {
    out << "self-test: broken off" << std::endl;
    return false;
  }

  // Clients that broke off are noticed when the answer cannot be written.
  Becomes([&] { return daemon.heap().CountAsyncScopes() == idle_scopes; });
  const size_t scopes = daemon.heap().CountAsyncScopes();
  if (scopes != idle_scopes) findings.Error("tasks are left that hold objects");
  daemon.heap().Collect();
  daemon.heap().Collect();  // begins with what is left to sweep
  Becomes([&] { return daemon.metrics().graphs_alive == 1; });
  const Metrics metrics = daemon.metrics();
  if (metrics.graphs_alive != 1) findings.Error("old graphs are alive");
  if (metrics.http.handler_failures != 0) {
    findings.Error(absl::StrCat(metrics.http.handler_failures,
                                " answers failed or were cut short"));
  }
  daemon.Shutdown(grace);

  const std::vector<absl::Duration> latencies = findings.SortedLatencies();
  const std::vector<absl::Duration> pauses = SortedPauses(metrics.cycles);
  for (const std::string& message : findings.messages()) {
    out << "self-test: " << message << "\n";
  }
  out << "requests     " << latencies.size() << " by " << kClients
      << " clients in " << Short(elapsed) << ", "
      << findings.broken_off.load(std::memory_order_relaxed)
      << " of them broken off\n"
      << "errors       " << findings.errors() << "\n"
      << "latency      p50 " << Short(Quantile(latencies, 0.5)) << ", p99 "
      << Short(Quantile(latencies, 0.99)) << ", max "
      << Short(Quantile(latencies, 1)) << "\n"
      << "reloads      " << reloads << "\n"
      << "collections  " << metrics.heap.cycles << "\n"
      << "pauses       p50 " << Short(Quantile(pauses, 0.5)) << ", p99 "
      << Short(Quantile(pauses, 0.99)) << ", max "
      << Short(metrics.heap.max_pause) << "\n"
      << "scopes       " << scopes << ", idle " << idle_scopes << "\n"
      << "graphs       " << metrics.graphs_alive << "\n"
      << (findings.errors() == 0 ? "PASSED" : "FAILED") << std::endl;
  return findings.errors() == 0;
}

}  // namespace bibop::pkgraphd
