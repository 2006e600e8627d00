#include "bibop/benchmarks/report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "bibop/base/json_writer.h"
#include "bibop/benchmarks/contestants.h"
#include "bibop/benchmarks/malloc_library.h"

namespace bibop::benchmarks {
namespace {

// About four digits, for a person.
std::string Short(double value) {
  if (std::isnan(value)) return "-";
  int decimals = 3;
  for (double limit = 10; decimals > 0 && std::abs(value) >= limit;) {
    limit *= 10;
    --decimals;
  }
  std::string text;
  absl::StrAppendFormat(&text, "%.*f", decimals, value);
  return text;
}

// Appends a column's text below its head; a head stands below itself.
void AppendColumn(absl::string_view head, absl::string_view text,
                  std::string& table) {
  const int width = std::max(9, static_cast<int>(head.size()));
  absl::StrAppendFormat(&table, "  %*s", width, text);
}

Summary SummaryOf(const ContestantRuns& runs, const std::string& figure) {
  const auto values = runs.figures.find(figure);
  return Summarize(values == runs.figures.end() ? std::vector<double>()
                                                : values->second);
}

bool HasVerdict(const Derived& derived) {
  return derived.at_most.has_value() && !std::isnan(derived.value);
}

double Reference(const ContestRuns& runs) {
  return SummaryOf(absl::MakeConstSpan(&runs, 1), runs.contest->name,
                   runs.contest->reference, runs.contest->figure)
      .median;
}

void AppendContest(const ContestRuns& runs, int repetitions,
                   std::string& table) {
  const Contest& contest = *runs.contest;
  absl::StrAppendFormat(&table, "\n%s, size %d: %d %s; %s of %d runs\n",
                        contest.name, contest.size, runs.units, contest.unit,
                        contest.figure, repetitions);
  std::vector<std::string> heads = {"median", "min", "max",
                                    absl::StrCat("/", contest.reference)};
  heads.insert(heads.end(), contest.other_figures.begin(),
               contest.other_figures.end());
  absl::StrAppendFormat(&table, "%-14s %-9s", "", "malloc");
  for (const std::string& head : heads) AppendColumn(head, head, table);
  table += '\n';
  const double reference = Reference(runs);
  for (const ContestantRuns& entry : runs.contestants) {
    const Summary summary = SummaryOf(entry, contest.figure);
    std::vector<double> values = {summary.median, summary.min, summary.max,
                                  summary.median / reference};
    for (const std::string& figure : contest.other_figures) {
      values.push_back(SummaryOf(entry, figure).median);
    }
    absl::StrAppendFormat(&table, "%-14s %-9s", entry.contestant->name,
                          LibraryOf(entry.contestant->malloc).name);
    for (size_t i = 0; i < heads.size(); ++i) {
      AppendColumn(heads[i], Short(values[i]), table);
    }
    table += '\n';
  }
}

// The medians of all contests.
void AppendOverview(absl::Span<const ContestRuns> contests,
                    std::string& table) {
  std::vector<std::string> names;
  for (const ContestRuns& runs : contests) {
    for (const ContestantRuns& entry : runs.contestants) {
      const std::string& name = entry.contestant->name;
      if (absl::c_find(names, name) == names.end()) names.push_back(name);
    }
  }
  absl::StrAppendFormat(&table, "\n%-20s", contests[0].contest->figure);
  for (const std::string& name : names) AppendColumn(name, name, table);
  table += '\n';
  for (const ContestRuns& runs : contests) {
    const Contest& contest = *runs.contest;
    absl::StrAppendFormat(&table, "%-20s", contest.name);
    for (const std::string& name : names) {
      AppendColumn(
          name,
          Short(SummaryOf(contests, contest.name, name, contest.figure).median),
          table);
    }
    table += '\n';
  }
}

void WriteContext(JsonWriter& json) {
  json.Key("date").String(
      absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()));
  json.Key("cpus").Integer(sysconf(_SC_NPROCESSORS_ONLN));
  json.Key("compiler").String(__VERSION__);
#ifdef __OPTIMIZE__
  json.Key("optimized").Bool(true);
#else
  json.Key("optimized").Bool(false);
#endif
}

void WriteContestant(const ContestantRuns& entry, const Contest& contest,
                     double reference, JsonWriter& json) {
  json.BeginObject().Key("name").String(entry.contestant->name);
  json.Key("malloc").String(LibraryOf(entry.contestant->malloc).name);
  json.Key("left_out").Bool(entry.figures.empty());
  json.Key("ratio").Number(SummaryOf(entry, contest.figure).median / reference);
  json.Key("figures").BeginObject();
  for (const auto& [figure, values] : entry.figures) {
    const Summary summary = Summarize(values);
    json.Key(figure).BeginObject();
    json.Key("median").Number(summary.median);
    json.Key("min").Number(summary.min);
    json.Key("max").Number(summary.max);
    json.Key("runs").BeginArray();
    for (const double value : values) json.Number(value);
    json.EndArray().EndObject();
  }
  json.EndObject().EndObject();
}

}  // namespace

Summary Summarize(std::vector<double> values) {
  if (values.empty()) {
    const double none = std::numeric_limits<double>::quiet_NaN();
    return {none, none, none};
  }
  std::ranges::sort(values);
  const size_t n = values.size();
  return {(values[(n - 1) / 2] + values[n / 2]) / 2, values.front(),
          values.back()};
}

Summary SummaryOf(absl::Span<const ContestRuns> contests,
                  absl::string_view contest, absl::string_view contestant,
                  absl::string_view figure) {
  for (const ContestRuns& runs : contests) {
    if (runs.contest->name != contest) continue;
    for (const ContestantRuns& entry : runs.contestants) {
      if (entry.contestant->name != contestant) continue;
      return SummaryOf(entry, std::string(figure));
    }
  }
  return Summarize({});
}

std::string FormatTable(const Report& report) {
  std::string table;
  for (const ContestRuns& runs : report.contests) {
    AppendContest(runs, report.repetitions, table);
  }
  if (report.contests.size() > 1) AppendOverview(report.contests, table);
  if (!report.derived.empty()) table += '\n';
  for (const Derived& derived : report.derived) {
    absl::StrAppendFormat(&table, "%-56s %9s", derived.name,
                          Short(derived.value));
    if (HasVerdict(derived)) {
      absl::StrAppendFormat(
          &table, "  %s %s",
          derived.value <= *derived.at_most ? "within" : "NOT WITHIN",
          Short(*derived.at_most));
    }
    table += '\n';
  }
  if (!report.left_out.empty()) table += '\n';
  for (const auto& [malloc, reason] : report.left_out) {
    absl::StrAppend(&table, "left out: ", malloc, ": ", reason, "\n");
  }
  return table;
}

std::string FormatJson(const Report& report) {
  JsonWriter json;
  json.BeginObject().Key("program").String(report.program);
  WriteContext(json);
  json.Key("repetitions").Integer(report.repetitions);
  json.Key("contests").BeginArray();
  for (const ContestRuns& runs : report.contests) {
    const Contest& contest = *runs.contest;
    json.BeginObject().Key("name").String(contest.name);
    json.Key("size").Integer(contest.size);
    json.Key("unit").String(contest.unit).Key("units").Integer(runs.units);
    json.Key("figure").String(contest.figure);
    json.Key("reference").String(contest.reference);
    json.Key("contestants").BeginArray();
    const double reference = Reference(runs);
    for (const ContestantRuns& entry : runs.contestants) {
      WriteContestant(entry, contest, reference, json);
    }
    json.EndArray().EndObject();
  }
  json.EndArray().Key("derived").BeginArray();
  for (const Derived& derived : report.derived) {
    json.BeginObject().Key("name").String(derived.name);
    json.Key("value").Number(derived.value);
    if (HasVerdict(derived)) {
      json.Key("at_most").Number(*derived.at_most);
      json.Key("within").Bool(derived.value <= *derived.at_most);
    }
    json.EndObject();
  }
  json.EndArray().Key("left_out").BeginObject();
  for (const auto& [malloc, reason] : report.left_out) {
    json.Key(malloc).String(reason);
  }
  json.EndObject().EndObject();
  return json.text() + "\n";
}

}  // namespace bibop::benchmarks
