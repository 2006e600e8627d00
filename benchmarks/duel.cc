#include "bibop/benchmarks/duel.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace bibop::benchmarks {
namespace {

struct Run {
  double wall_s;
  double cpu_s;
  double peak_mib;
  int64_t units;
};

absl::StatusOr<Run> RunInChild(const Contestant& contestant, int size) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return absl::ErrnoToStatus(errno, "pipe");
  const absl::Time start = absl::Now();
  const pid_t child = fork();
  if (child < 0) return absl::ErrnoToStatus(errno, "fork");
  if (child == 0) {
    const int64_t units = contestant.run(size);
    const bool told = write(pipe_ends[1], &units, sizeof(units)) ==
                      static_cast<ssize_t>(sizeof(units));
    _exit(told ? 0 : 1);
  }
  close(pipe_ends[1]);
  Run run = {};
  const bool heard = read(pipe_ends[0], &run.units, sizeof(run.units)) ==
                     static_cast<ssize_t>(sizeof(run.units));
  close(pipe_ends[0]);
  int status = 0;
  rusage usage = {};
  if (wait4(child, &status, 0, &usage) != child || status != 0 || !heard) {
    return absl::InternalError(
        absl::StrCat(contestant.name, " failed, wait status ", status));
  }
  run.wall_s = absl::ToDoubleSeconds(absl::Now() - start);
  run.cpu_s = absl::ToDoubleSeconds(absl::DurationFromTimeval(usage.ru_utime) +
                                    absl::DurationFromTimeval(usage.ru_stime));
  run.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  return run;
}

double Median(const std::vector<Run>& runs, double Run::* figure) {
  std::vector<double> values;
  values.reserve(runs.size());
  for (const Run& run : runs) values.push_back(run.*figure);
  std::ranges::sort(values);
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

bool ParseArgument(int argc, char** argv, int index, int low, int high,
                   absl::string_view what, int* value) {
  if (argc <= index) return true;
  if (absl::SimpleAtoi(argv[index], value) && *value >= low && *value <= high) {
    return true;
  }
  std::fprintf(stderr, "%s: %s may be %d to %d, not '%s'\n", argv[0],
               std::string(what).c_str(), low, high, argv[index]);
  return false;
}

}  // namespace

int Duel(int argc, char** argv, const Contest& contest, const Contestant& first,
         const Contestant& second) {
  int size = contest.default_size;
  int repetitions = 5;
  if (argc > 3 ||
      !ParseArgument(argc, argv, 1, contest.min_size, contest.max_size, "SIZE",
                     &size) ||
      !ParseArgument(argc, argv, 2, 1, 100, "REPETITIONS", &repetitions)) {
    std::fprintf(stderr, "usage: %s [SIZE [REPETITIONS]]\n", argv[0]);
    return 2;
  }
  const Contestant* contestants[2] = {&first, &second};
  std::vector<Run> runs[2];
  for (int repetition = -1; repetition < repetitions; ++repetition) {
    for (int i = 0; i < 2; ++i) {
      absl::StatusOr<Run> run = RunInChild(*contestants[i], size);
      if (!run.ok()) {
        std::fprintf(stderr, "%s\n", run.status().ToString().c_str());
        return 1;
      }
      if (repetition >= 0) runs[i].push_back(*run);
    }
    if (repetition >= 0 && runs[0].back().units != runs[1].back().units) {
      std::fprintf(stderr, "the two did different work: %lld and %lld %s\n",
                   static_cast<long long>(runs[0].back().units),
                   static_cast<long long>(runs[1].back().units), contest.unit);
      return 1;
    }
  }
  std::printf("%s, size %d: %lld %s, medians of %d runs\n", contest.name, size,
              static_cast<long long>(runs[0].back().units), contest.unit,
              repetitions);
  std::printf("%-14s %9s %9s %12s\n", "", "wall s", "CPU s", "peak MiB");
  double medians[2][3];
  for (int i = 0; i < 2; ++i) {
    medians[i][0] = Median(runs[i], &Run::wall_s);
    medians[i][1] = Median(runs[i], &Run::cpu_s);
    medians[i][2] = Median(runs[i], &Run::peak_mib);
    std::printf("%-14s %9.3f %9.3f %12.1f\n", contestants[i]->name,
                medians[i][0], medians[i][1], medians[i][2]);
  }
  std::printf("%-14s %8.2fx %8.2fx %11.2fx\n",
              absl::StrCat(second.name, "/", first.name).c_str(),
              medians[1][0] / medians[0][0], medians[1][1] / medians[0][1],
              medians[1][2] / medians[0][2]);
  return 0;
}

}  // namespace bibop::benchmarks
