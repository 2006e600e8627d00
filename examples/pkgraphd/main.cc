// pkgraphd: a Debian package index as a service. See kUsage, or README.md.

#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/examples/pkgraphd/daemon.h"
#include "bibop/examples/pkgraphd/self_test.h"

ABSL_FLAG(std::string, index, std::string(bibop::pkgraph::kDefaultIndex),
          "the index to serve, such as a Packages file of apt; POST /reload "
          "reads it again");
ABSL_FLAG(std::string, address, "127.0.0.1",
          "the IPv4 or IPv6 address to listen on");
ABSL_FLAG(int32_t, port, 8080, "the port to listen on; 0: one that is free");
ABSL_FLAG(int32_t, threads, 0,
          "how many threads answer requests, up to 256; 0: one per processor");
ABSL_FLAG(int64_t, max_connections, 10000,
          "connections beyond this many are told 503");
ABSL_FLAG(absl::Duration, request_timeout, absl::Seconds(10),
          "how long a client may take to send a request");
ABSL_FLAG(absl::Duration, idle_timeout, absl::Seconds(60),
          "how long a connection may be idle");
ABSL_FLAG(absl::Duration, write_timeout, absl::Seconds(30),
          "how long a client may take nothing of an answer");
ABSL_FLAG(absl::Duration, answer_timeout, absl::Minutes(5),
          "how long a client may take for a whole answer");
ABSL_FLAG(absl::Duration, shutdown_grace, absl::Seconds(10),
          "how long requests in flight may take after SIGTERM or SIGINT");
ABSL_FLAG(
    int32_t, self_test, 0,
    "serve on a free port of 127.0.0.1 for so many seconds, to clients of "
    "its own, and say how that went");

namespace bibop::pkgraphd {
namespace {

constexpr std::string_view kUsage =
    R"(Serves a Debian package index from a garbage-collected graph, over HTTP.

  pkgraphd [--index=FILE] [--address=ADDRESS] [--port=PORT]
  pkgraphd --self-test SECONDS

It prints its URL, which lists the paths. SIGTERM and SIGINT end it once the
requests in flight are done; a second one ends it at once. --help has all flags.
)";

// The exit codes.
constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;

// Each connection takes a descriptor.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    std::cerr << "pkgraphd: the limit of open files stays as it was\n";
  }
}

// The signals that end the service. Blocked before there are threads, which
// inherit that, so that only who waits here gets them.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM}) {
      sigaddset(&set_, signal);
      // A shell has what it starts in the background ignore SIGINT.
      std::signal(signal, SIG_DFL);
    }
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }

  // Waits for one. The next one ends the process, if this thread still exists.
  void Wait() {
    int signal = 0;
    sigwait(&set_, &signal);
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

  // The same, at most so long. Returns the signal, 0 if none came.
  int WaitFor(absl::Duration timeout) {
    const timespec time = absl::ToTimespec(timeout);
    int signal = 0;
    // It begins anew when the process was stopped and continued.
    do {
      signal = sigtimedwait(&set_, nullptr, &time);
    } while (signal < 0 && errno == EINTR);
    if (signal < 0) return 0;
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
    return signal;
  }

 private:
  sigset_t set_;
};

// Until this is destroyed, such a signal ends the process at once, as it does
// by default.
class AtOnce {
 public:
  explicit AtOnce(EndSignals& signals)
      : thread_([this, &signals] {
          while (!done_.HasBeenNotified()) {
            if (const int signal = signals.WaitFor(kLook)) raise(signal);
          }
        }) {}
  ~AtOnce() {
    done_.Notify();
    thread_.join();
  }
  AtOnce(const AtOnce&) = delete;
  AtOnce& operator=(const AtOnce&) = delete;

 private:
  static constexpr absl::Duration kLook = absl::Milliseconds(10);

  absl::Notification done_;
  std::thread thread_;
};

absl::StatusOr<DaemonOptions> OptionsFromFlags() {
  DaemonOptions options;
  options.index = absl::GetFlag(FLAGS_index);
  if (options.index == "-") {
    return absl::InvalidArgumentError(
        "--index=-: standard input cannot be read again");
  }
  const int32_t port = absl::GetFlag(FLAGS_port);
  if (port < 0 || port > std::numeric_limits<uint16_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--port: 0 to 65535, not ", port));
  }
  const int64_t connections = absl::GetFlag(FLAGS_max_connections);
  if (connections < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max_connections: at least 1, not ", connections));
  }
  if (absl::GetFlag(FLAGS_shutdown_grace) < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--shutdown_grace: not negative");
  }
  if (absl::GetFlag(FLAGS_self_test) < 0) {
    return absl::InvalidArgumentError("--self-test: a number of seconds");
  }
  options.threads = absl::GetFlag(FLAGS_threads);
  options.http.address = absl::GetFlag(FLAGS_address);
  options.http.port = static_cast<uint16_t>(port);
  options.http.max_connections = static_cast<size_t>(connections);
  options.http.request_timeout = absl::GetFlag(FLAGS_request_timeout);
  options.http.idle_timeout = absl::GetFlag(FLAGS_idle_timeout);
  options.http.write_timeout = absl::GetFlag(FLAGS_write_timeout);
  options.http.answer_timeout = absl::GetFlag(FLAGS_answer_timeout);
  return options;
}

int Fail(const absl::Status& status, int code) {
  std::cerr << "pkgraphd: " << status.message() << std::endl;
  return code;
}

int Main() {
  absl::StatusOr<DaemonOptions> options = OptionsFromFlags();
  if (!options.ok()) return Fail(options.status(), kBadUsage);
  const int32_t test_seconds = absl::GetFlag(FLAGS_self_test);
  if (test_seconds > 0) {
    options->http.address = "127.0.0.1";
    options->http.port = 0;
  }

  RaiseDescriptorLimit();
  EndSignals end_signals;
  const std::string index = options->index;
  absl::StatusOr<std::unique_ptr<Daemon>> daemon;
  {
    const AtOnce at_once(end_signals);
    daemon = Daemon::Start(*std::move(options));
  }
  if (!daemon.ok()) return Fail(daemon.status(), kFailed);
  const LoadReport& loaded = (*daemon)->loaded();
  std::cout << index << ": " << loaded.packages << " names, " << loaded.versions
            << " versions, read in "
            << absl::FormatDuration(
                   absl::Trunc(loaded.elapsed, absl::Milliseconds(1)))
            << "\n"
            << (*daemon)->Url() << std::endl;
  const absl::Duration grace = absl::GetFlag(FLAGS_shutdown_grace);
  if (test_seconds > 0) {
    const auto wait = [&] {
      return end_signals.WaitFor(absl::Seconds(test_seconds)) == 0;
    };
    return RunSelfTest(**daemon, wait, grace, std::cout) ? kOk : kFailed;
  }
  end_signals.Wait();
  std::cout << "shutting down" << std::endl;
  (*daemon)->Shutdown(grace);
  return kOk;
}

}  // namespace
}  // namespace bibop::pkgraphd

int main(int argc, char* argv[]) {
  absl::SetProgramUsageMessage(bibop::pkgraphd::kUsage);
  // Flags are spelled with underscores; people write --self-test.
  std::vector<std::string> spelled(argv, argv + argc);
  std::vector<char*> given;
  for (std::string& argument : spelled) {
    if (absl::StartsWith(argument, "--self-test")) argument[6] = '_';
    given.push_back(argument.data());
  }
  std::vector<char*> arguments;
  std::vector<absl::UnrecognizedFlag> unrecognized;
  absl::ParseAbseilFlagsOnly(argc, given.data(), arguments, unrecognized);
  absl::ReportUnrecognizedFlags(unrecognized);
  if (!unrecognized.empty()) return bibop::pkgraphd::kBadUsage;
  if (arguments.size() > 1) {
    std::cerr << "pkgraphd: not a flag: " << arguments[1] << "\n\n"
              << bibop::pkgraphd::kUsage;
    return bibop::pkgraphd::kBadUsage;
  }
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kWarning);
  absl::InitializeLog();
  return bibop::pkgraphd::Main();
}
