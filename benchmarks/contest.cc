#include "bibop/benchmarks/contest.h"

#include <sys/wait.h>

#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "bibop/benchmarks/command_line.h"
#include "bibop/benchmarks/contestants.h"
#include "bibop/benchmarks/malloc_library.h"
#include "bibop/benchmarks/report.h"
#include "bibop/benchmarks/subprocess.h"

ABSL_FLAG(int, repetitions, 5, "runs of each contestant that count");
ABSL_FLAG(std::string, json, "", "the file to write all figures to, as JSON");
ABSL_FLAG(std::string, run, "",
          "CONTEST/CONTESTANT: one run, in this process; prints its figures");

namespace bibop::benchmarks {
namespace {

// Exit statuses. The last is for --run only: the malloc is not the one that the
// contestant runs on.
constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;
constexpr int kOtherMalloc = 3;

int Fail(int exit_status, const absl::Status& status) {
  std::cerr << status.message() << "\n";
  return exit_status;
}

std::string FullName(const Contest& contest, const Contestant& contestant) {
  return absl::StrCat(contest.name, "/", contestant.name);
}

// ---- one run, in this process ----

absl::Duration Read(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return absl::DurationFromTimespec(now);
}

int RunHere(const Contest& contest, const Contestant& contestant) {
  if (const absl::Status found = CheckMalloc(contestant.malloc); !found.ok()) {
    return Fail(kOtherMalloc, found);
  }
  const absl::Duration wall_before = Read(CLOCK_MONOTONIC);
  const absl::Duration cpu_before = Read(CLOCK_PROCESS_CPUTIME_ID);
  RunResult result = contestant.run(contest.size);
  const absl::Duration wall = Read(CLOCK_MONOTONIC) - wall_before;
  const absl::Duration cpu = Read(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
  result.figures.push_back({"wall_s", absl::ToDoubleSeconds(wall)});
  result.figures.push_back({"cpu_s", absl::ToDoubleSeconds(cpu)});
  std::cout.precision(17);
  std::cout << "units " << result.units << "\n";
  for (const Figure& figure : result.figures) {
    std::cout << figure.name << " " << figure.value << "\n";
  }
  return std::cout.flush() ? kOk : kFailed;
}

int RunNamed(const std::vector<Contest>& contests, absl::string_view name) {
  for (const Contest& contest : contests) {
    for (const Contestant& contestant : contest.contestants) {
      if (FullName(contest, contestant) == name) {
        return RunHere(contest, contestant);
      }
    }
  }
  std::string known = absl::StrCat("--run=", name, ": there are only");
  for (const Contest& contest : contests) {
    for (const Contestant& contestant : contest.contestants) {
      absl::StrAppend(&known, " ", FullName(contest, contestant));
    }
  }
  return Fail(kBadUsage, absl::InvalidArgumentError(known));
}

// ---- one run, in a process of its own ----

// Reads what RunHere printed.
absl::StatusOr<RunResult> ParseResult(absl::string_view output) {
  RunResult result;
  bool complete = false;
  for (const absl::string_view line :
       absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> word =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    double value = 0;
    if (word.first == "units" && absl::SimpleAtoi(word.second, &result.units)) {
      complete = true;
    } else if (absl::SimpleAtod(word.second, &value)) {
      result.figures.push_back({std::string(word.first), value});
    } else {
      return absl::InternalError(absl::StrCat("it printed '", line, "'"));
    }
  }
  if (!complete) return absl::InternalError("it printed no units");
  return result;
}

// Returns NotFound if the contestant's malloc cannot be had.
absl::StatusOr<RunResult> RunElsewhere(
    const Contest& contest, const Contestant& contestant,
    const std::vector<std::string>& command_line) {
  std::vector<std::string> arguments = command_line;
  arguments.push_back(absl::StrCat("--run=", FullName(contest, contestant)));
  const MallocLibrary& library = LibraryOf(contestant.malloc);
  absl::StatusOr<Subprocess> process =
      RunThisProgram(arguments, library.soname);
  if (!process.ok()) return process.status();
  const int status = process->wait_status;
  if (contestant.malloc != Malloc::kGlibc && WIFEXITED(status) &&
      WEXITSTATUS(status) == kOtherMalloc) {
    return absl::NotFoundError(absl::StrCat("there is no ", library.soname,
                                            " (Debian package ",
                                            library.package, ")"));
  }
  std::cerr << process->errors;
  if (WIFSIGNALED(status)) {
    return absl::InternalError(
        absl::StrCat("ended by signal ", WTERMSIG(status)));
  }
  if (status != 0) {
    return absl::InternalError(
        absl::StrCat("exit status ", WEXITSTATUS(status)));
  }
  absl::StatusOr<RunResult> result = ParseResult(process->output);
  if (!result.ok()) return result;
  result->figures.push_back(
      {"peak_mib",
       static_cast<double>(process->peak_resident_bytes) / (1 << 20)});
  return result;
}

// ---- all runs ----

// Lets `runs.contestant` run once, unless its malloc is among those left out.
absl::Status RunOnce(const std::vector<std::string>& command_line, bool counts,
                     ContestRuns& contest_runs, ContestantRuns& runs,
                     std::map<std::string, std::string>& left_out) {
  const Contest& contest = *contest_runs.contest;
  const Contestant& contestant = *runs.contestant;
  const std::string malloc = LibraryOf(contestant.malloc).name;
  if (!kCanPreloadMalloc && contestant.malloc != Malloc::kGlibc) {
    left_out[malloc] = "this program has a sanitizer's malloc";
  }
  if (left_out.contains(malloc)) return absl::OkStatus();
  absl::StatusOr<RunResult> result =
      RunElsewhere(contest, contestant, command_line);
  if (absl::IsNotFound(result.status())) {
    left_out[malloc] = result.status().message();
    return absl::OkStatus();
  }
  if (!result.ok()) {
    return absl::InternalError(absl::StrCat(
        FullName(contest, contestant), " failed: ", result.status().message()));
  }
  if (contest_runs.units == 0) contest_runs.units = result->units;
  if (result->units != contest_runs.units) {
    return absl::InternalError(absl::StrCat(
        FullName(contest, contestant), " did different work: ", result->units,
        " ", contest.unit, ", not ", contest_runs.units));
  }
  if (!counts) return absl::OkStatus();
  for (const Figure& figure : result->figures) {
    runs.figures[figure.name].push_back(figure.value);
  }
  return absl::OkStatus();
}

absl::StatusOr<Report> RunAll(const std::vector<std::string>& command_line,
                              const Program& program,
                              const std::vector<Contest>& contests) {
  const std::string& path = command_line[0];
  Report report = {.program = path.substr(path.rfind('/') + 1),
                   .repetitions = absl::GetFlag(FLAGS_repetitions),
                   .contests = {},
                   .derived = {},
                   .left_out = {}};
  for (const Contest& contest : contests) {
    report.contests.push_back({.contest = &contest});
    for (const Contestant& contestant : contest.contestants) {
      report.contests.back().contestants.push_back({.contestant = &contestant});
    }
  }
  for (int round = 0; round <= report.repetitions; ++round) {
    for (ContestRuns& contest : report.contests) {
      for (ContestantRuns& contestant : contest.contestants) {
        absl::Status status = RunOnce(command_line, /*counts=*/round > 0,
                                      contest, contestant, report.left_out);
        if (!status.ok()) return status;
      }
    }
  }
  const auto derive =
      [&report](
          const std::function<std::vector<Derived>(Figures)>& program_does,
          double Summary::* what) {
        if (!program_does) return;
        for (Derived& derived :
             program_does([&report, what](absl::string_view contest,
                                          absl::string_view contestant,
                                          absl::string_view figure) {
               return SummaryOf(report.contests, contest, contestant, figure).*
                      what;
             })) {
          report.derived.push_back(std::move(derived));
        }
      };
  derive(program.derive, &Summary::median);
  derive(program.derive_from_largest, &Summary::max);
  return report;
}

}  // namespace

int RunContests(int argc, char** argv, const Program& program) {
  if (AsksForHelp(argc, argv)) {
    std::cout << program.description << "\n\n" << FlagsHelp();
    return kOk;
  }
  absl::Status usage = ParseFlags(argc, argv);
  usage.Update(
      CheckFlag("repetitions", absl::GetFlag(FLAGS_repetitions), 1, 1000));
  if (!usage.ok()) return Fail(kBadUsage, usage);
  const absl::StatusOr<std::vector<Contest>> contests = program.contests();
  if (!contests.ok()) return Fail(kBadUsage, contests.status());
  if (const std::string run = absl::GetFlag(FLAGS_run); !run.empty()) {
    return RunNamed(*contests, run);
  }

#ifndef __OPTIMIZE__
  std::cerr << "this build is not optimized: do not believe its figures "
               "(build with -c opt)\n";
#endif
  // Opened first: nobody should wait for a run only to learn of a wrong name.
  std::ofstream json;
  if (const std::string file = absl::GetFlag(FLAGS_json); !file.empty()) {
    json.open(file);
    if (!json) {
      return Fail(kBadUsage, absl::InvalidArgumentError(absl::StrCat(
                                 "--json=", file, " cannot be written")));
    }
  }
  const absl::StatusOr<Report> report =
      RunAll({argv, argv + argc}, program, *contests);
  if (!report.ok()) return Fail(kFailed, report.status());
  std::cout << FormatTable(*report) << std::flush;
  if (json.is_open()) json << FormatJson(*report) << std::flush;
  return std::cout && (!json.is_open() || json) ? kOk : kFailed;
}

}  // namespace bibop::benchmarks
