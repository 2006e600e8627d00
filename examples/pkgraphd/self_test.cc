#include "bibop/examples/pkgraphd/self_test.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/cycle_log.h"
#include "bibop/examples/pkgraphd/daemon.h"
#include "bibop/examples/pkgraphd/http_client.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"
#include "bibop/examples/pkgraphd/metrics.h"

namespace bibop::pkgraphd {
namespace {

constexpr int kClients = 8;

// What the clients found, all together. Any thread.
class Findings {
 public:
  // Notes an answer, and whether it is another one than before.
  void Answer(std::string_view target, std::string_view body)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const size_t hash = absl::HashOf(body);
    {
      const absl::MutexLock lock(mutex_);
      if (hashes_.try_emplace(target, hash).first->second == hash) return;
    }
    Error(absl::StrCat(target, ": another answer than before"));
  }

  void Error(std::string message) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    ++errors_;
    if (messages_.size() < kMessages) messages_.push_back(std::move(message));
  }

  void Latencies(const std::vector<absl::Duration>& latencies)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    latencies_.insert(latencies_.end(), latencies.begin(), latencies.end());
  }

  // When the clients have ended.
  std::vector<absl::Duration> SortedLatencies() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    std::sort(latencies_.begin(), latencies_.end());
    return latencies_;
  }
  int64_t errors() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    return errors_;
  }
  // The first ones.
  std::vector<std::string> messages() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    return messages_;
  }

  std::atomic<int64_t> broken_off = 0;  // a sum: relaxed

 private:
  static constexpr size_t kMessages = 5;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, size_t> hashes_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> latencies_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> messages_ ABSL_GUARDED_BY(mutex_);
  int64_t errors_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The names in an answer of /search, of which none has a character that JSON
// escapes.
std::vector<std::string> NamesIn(std::string_view answer) {
  constexpr std::string_view kBefore = "\"packages\": [\"";
  const size_t begin = answer.find(kBefore), end = answer.rfind("\"]}");
  if (begin == answer.npos || end == answer.npos) return {};
  answer = answer.substr(0, end).substr(begin + kBefore.size());
  return absl::StrSplit(answer, "\", \"");
}

// Whether the answer has this status; notes if not.
bool Check(std::string_view target, const absl::StatusOr<HttpReply>& reply,
           int status, Findings& findings) {
  if (reply.ok() && reply->status == status) return true;
  findings.Error(
      reply.ok() ? absl::StrCat(target, ": ", reply->status, " ", reply->body)
                 : absl::StrCat(target, ": ", reply.status().ToString()));
  return false;
}

// Some names of each letter.
std::vector<std::string> SomeNames(const Daemon& daemon, Findings& findings) {
  HttpClient client({.address = daemon.address(), .port = daemon.port()});
  std::set<std::string> names;
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    const std::string target =
        absl::StrCat("/search?q=", std::string(1, letter));
    const absl::StatusOr<HttpReply> reply = client.Get(target);
    if (!Check(target, reply, 200, findings)) continue;
    for (std::string& name : NamesIn(reply->body))
      names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

// What is in `text` between the first `before` and the next `after`; empty if
// these are not there.
std::string_view Between(std::string_view text, std::string_view before,
                         std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == text.npos) return "";
  text.remove_prefix(begin + before.size());
  const size_t end = text.find(after);
  return end == text.npos ? "" : text.substr(0, end);
}

// A step of a path that /why answers.
struct Step {
  std::string_view from;
  std::string_view field;
  std::string_view to;
};

// The steps in an answer of /why, none if there is no path.
std::vector<Step> StepsIn(std::string_view answer) {
  std::vector<Step> steps;
  for (const std::string_view object : absl::StrSplit(answer, "}, {")) {
    const Step step = {.from = Between(object, "\"from\": \"", "\""),
                       .field = Between(object, "\"field\": \"", "\""),
                       .to = Between(object, "\"to\": \"", "\"")};
    if (!step.to.empty()) steps.push_back(step);
  }
  return steps;
}

// Whether the steps lead from one package to another.
bool Leads(const std::vector<Step>& steps, std::string_view from,
           std::string_view to) {
  for (const Step& step : steps) {
    if (step.from != from) return false;
    from = step.to;
  }
  return from == to;
}

// A '+' in a path stands for itself, in a query for a blank.
std::string Escaped(std::string_view name) {
  std::string text;
  for (const char c : name)
    absl::StrAppend(&text, c == '+' ? "%2B" : std::string(1, c));
  return text;
}

class Client {
 public:
  Client(const Daemon& daemon, const std::vector<std::string>& names,
         uint32_t seed, Findings& findings)
      : http_({.address = daemon.address(), .port = daemon.port()}),
        names_(names),
        random_(seed),
        findings_(findings) {}

  // Asks until `stop`.
  void Run(const absl::Notification& stop) {
    while (!stop.HasBeenNotified()) AskSomething();
    findings_.Latencies(latencies_);
  }

 private:
  const std::string& AName() { return names_[random_() % names_.size()]; }

  void AskSomething() {
    switch (random_() % 11) {
      case 0:
      case 1:
        Ask(absl::StrCat("/package/", Escaped(AName())));
        return;
      case 2:
        return CrossCheck(AName());
      case 3:
        Ask(absl::StrCat("/closure/", Escaped(AName()), "?recommends=1"));
        return;
      case 4:
        Ask(absl::StrCat("/rdeps/", Escaped(AName())));
        return;
      case 5:
        Ask(absl::StrCat("/why/", Escaped(AName()), "/", Escaped(AName())));
        return;
      case 6:
        Ask(absl::StrCat("/search?q=", Escaped(AName().substr(0, 3))));
        return;
      case 7:
        return AskForNothing();
      case 8:
        return Expect("/metrics", 200, "bibop_async_scopes");
      case 9:
        return Expect("/healthz", 200, "ok");
      default:
        return BreakOff(absl::StrCat("/rdeps/", Escaped(AName())));
    }
  }

  absl::StatusOr<HttpReply> Get(std::string_view target,
                                HttpClient::OnBody on_body = {}) {
    const absl::Time start = absl::Now();
    absl::StatusOr<HttpReply> reply = http_.Get(target, std::move(on_body));
    latencies_.push_back(absl::Now() - start);
    return reply;
  }

  // The answer, which is the same each time; empty if there is none.
  std::string Ask(const std::string& target) {
    absl::StatusOr<HttpReply> reply = Get(target);
    if (!Check(target, reply, 200, findings_)) return "";
    findings_.Answer(target, reply->body);
    return std::move(reply->body);
  }

  void Expect(std::string_view target, int status, std::string_view text) {
    const absl::StatusOr<HttpReply> reply = Get(target);
    if (Check(target, reply, status, findings_) &&
        !absl::StrContains(reply->body, text)) {
      findings_.Error(
          absl::StrCat(target, ": no '", text, "' in ", reply->body));
    }
  }

  void AskForNothing() {
    constexpr std::string_view kNothing = "no-such-package-anywhere";
    const std::string name = Escaped(AName());
    for (const std::string& target :
         {absl::StrCat("/package/", kNothing),
          absl::StrCat("/closure/", kNothing),
          absl::StrCat("/rdeps/", kNothing),
          absl::StrCat("/why/", kNothing, "/", name),
          absl::StrCat("/why/", name, "/", kNothing)}) {
      Expect(target, 404, kNothing);
    }
  }

  // Whether the answers about `name` agree: there is a path to what is in its
  // closure, as long as that says, and each end of a step names the other.
  void CrossCheck(const std::string& name) {
    const std::string closure = Ask(absl::StrCat("/closure/", Escaped(name)));
    const std::vector<std::string_view> lines =
        absl::StrSplit(closure, '\n', absl::SkipEmpty());
    if (lines.empty()) return;
    const std::string_view line = lines[random_() % lines.size()];
    const std::string_view needed = Between(line, "\"package\": \"", "\"");

    const std::string why =
        absl::StrCat("/why/", Escaped(name), "/", Escaped(needed));
    const std::string path = Ask(why);
    const std::vector<Step> steps = StepsIn(path);
    if (steps.empty() || !Leads(steps, name, needed) ||
        absl::StrCat(steps.size()) != Between(line, "\"distance\": ", "}")) {
      return findings_.Error(
          absl::StrCat(why, ": ", path, ", but the closure has ", line));
    }
    const Step& step = steps[random_() % steps.size()];
    const bool is_provided = step.field == "Provides";
    const std::string rdeps =
        absl::StrCat("/rdeps/", Escaped(is_provided ? step.from : step.to));
    const std::string mention =
        absl::StrCat("{\"package\": \"", is_provided ? step.to : step.from,
                     "\", \"field\": \"", step.field, "\"}\n");
    const std::string mentions = Ask(rdeps);
    if (!absl::StrContains(mentions, mention)) {
      findings_.Error(absl::StrCat(rdeps, ": lacks ", mention));
    }
  }

  // Closes the connection when the first piece of an answer has come.
  void BreakOff(const std::string& target) {
    if (Ask(target).empty()) return;  // it has no piece
    const absl::StatusOr<HttpReply> reply =
        Get(target, [](std::string_view /*piece*/) { return false; });
    if (absl::IsCancelled(reply.status())) {
      findings_.broken_off.fetch_add(1, std::memory_order_relaxed);
    } else {
      findings_.Error(absl::StrCat(target, ": not broken off but ",
                                   reply.status().ToString()));
    }
  }

  HttpClient http_;
  const std::vector<std::string>& names_;
  std::mt19937 random_;
  Findings& findings_;
  std::vector<absl::Duration> latencies_;
};

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
        [&, i] { Client(daemon, names, i, findings).Run(stop); });
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
