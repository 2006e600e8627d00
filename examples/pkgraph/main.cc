// pkgraph: questions about a Debian package index, answered from a
// garbage-collected graph. See kUsage, or README.md.

#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "bibop/examples/pkgraph/commands.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/input.h"
#include "bibop/examples/pkgraph/report.h"

ABSL_FLAG(std::string, file, std::string(bibop::pkgraph::kDefaultIndex),
          "the index to load, such as a Packages file of apt; - is standard "
          "input");
ABSL_FLAG(bool, recommends, false,
          "closure, why and cycles follow Recommends, too");

namespace bibop::pkgraph {
namespace {

constexpr std::string_view kUsage =
    R"(Answers questions about a Debian package index.

  pkgraph [--file=FILE] [--recommends] [COMMAND]

  closure NAME  what NAME needs, directly and through others
  rdeps NAME    the packages that name NAME, by the field that does
  why A B       a shortest path from A to B
  cycles        the groups of packages that need each other
  churn N       builds the graph N times: how the garbage collector keeps up

Without a command: a short tour of all of these.
)";

// The exit codes.
constexpr int kOk = 0;
constexpr int kFailed = 1;
constexpr int kBadUsage = 2;

int Fail(const absl::Status& status) {
  std::cerr << "pkgraph: " << status.message() << std::endl;
  return kFailed;
}

int Main(const Query& command) {
  const bool is_tour = command.empty();
  int64_t rebuilds = 0;
  const bool is_churn = command.size() == 2 && command[0] == "churn" &&
                        absl::SimpleAtoi(command[1], &rebuilds) && rebuilds > 0;
  if (!is_tour && !is_churn && !IsQuery(command)) {
    std::cerr << "pkgraph: not a command: " << absl::StrJoin(command, " ")
              << "\n\n"
              << kUsage;
    return kBadUsage;
  }

  absl::StatusOr<Input> input = Input::Open(absl::GetFlag(FLAGS_file));
  if (!input.ok()) return Fail(input.status());
  ReportOptions options;
  if (absl::GetFlag(FLAGS_recommends)) {
    options.follow = Follow::kDependsAndRecommends;
  }
  const absl::Status status =
      is_tour    ? RunTour(*input, options, std::cout, std::cerr)
      : is_churn ? RunChurn(rebuilds, *input, std::cout, std::cerr)
                 : RunQuery(command, *input, options, std::cout);
  if (!status.ok()) return Fail(status);
  if (!std::cout.flush()) {
    return Fail(absl::DataLossError("the answer cannot be written"));
  }
  return kOk;
}

}  // namespace
}  // namespace bibop::pkgraph

int main(int argc, char* argv[]) {
  absl::SetProgramUsageMessage(bibop::pkgraph::kUsage);
  std::vector<char*> arguments;
  std::vector<absl::UnrecognizedFlag> unrecognized;
  absl::ParseAbseilFlagsOnly(argc, argv, arguments, unrecognized);
  if (!unrecognized.empty()) {
    absl::ReportUnrecognizedFlags(unrecognized);
    return bibop::pkgraph::kBadUsage;
  }
  return bibop::pkgraph::Main({arguments.begin() + 1, arguments.end()});
}
