// The clients of the self-test: each asks a daemon for whatever there is, and
// notes what is wrong with the answers.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_CLIENT_H_
#define BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_CLIENT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/daemon.h"
#include "bibop/examples/pkgraphd/http_client.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"

namespace bibop::pkgraphd {

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

  // Notes what is wrong.
  void Error(std::string message) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    ++errors_;
    if (messages_.size() < kMessages) messages_.push_back(std::move(message));
  }

  // Adds how long requests took.
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
  // How many were noted.
  int64_t errors() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    return errors_;
  }
  // The first of them.
  std::vector<std::string> messages() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(mutex_);
    return messages_;
  }

  // How often an answer was broken off. A sum: relaxed.
  std::atomic<int64_t> broken_off = 0;

 private:
  static constexpr size_t kMessages = 5;

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, size_t> hashes_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Duration> latencies_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> messages_ ABSL_GUARDED_BY(mutex_);
  int64_t errors_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Whether the answer has this status; notes if not.
bool Check(std::string_view target, const absl::StatusOr<HttpReply>& reply,
           int status, Findings& findings);

// Some names of each letter, which the daemon finds.
std::vector<std::string> SomeNames(const Daemon& daemon, Findings& findings);

// One thread's.
class SelfTestClient {
 public:
  // Asks about packages among `names`, of which there is one at least.
  SelfTestClient(const Daemon& daemon,
                 const std::vector<std::string>& names
                 ABSL_ATTRIBUTE_LIFETIME_BOUND,
                 uint32_t seed,
                 Findings& findings ABSL_ATTRIBUTE_LIFETIME_BOUND)
      : http_({.address = daemon.address(), .port = daemon.port()}),
        names_(names),
        random_(seed),
        findings_(findings) {}

  // Asks until `stop`.
  void Run(const absl::Notification& stop);

 private:
  const std::string& AName() { return names_[random_() % names_.size()]; }

  void AskSomething();

  absl::StatusOr<HttpReply> Get(std::string_view target,
                                HttpClient::OnBody on_body = {});

  // The answer, which is the same each time; empty if there is none.
  std::string Ask(const std::string& target);

  void Expect(std::string_view target, int status, std::string_view text);

  // Names that the index does not have are 404 on each path.
  void AskForNothing();

  // Notes if the answers about `name` do not agree: there is a closure if it
  // needs something, a path to what is in the closure, as long as that says,
  // and /rdeps knows of each step.
  void CrossCheck(const std::string& name);

  // Closes the connection when the first piece of an answer has come.
  void BreakOff(const std::string& target);

  HttpClient http_;
  const std::vector<std::string>& names_;
  std::mt19937 random_;
  Findings& findings_;
  std::vector<absl::Duration> latencies_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_SELF_TEST_CLIENT_H_
