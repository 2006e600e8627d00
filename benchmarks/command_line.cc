#include "bibop/benchmarks/command_line.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace bibop::benchmarks {

absl::Status ParseFlags(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view name = argv[i];
    if (!absl::ConsumePrefix(&name, "--")) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", argv[i], "' is no flag, and there are no other arguments"));
    }
    std::optional<absl::string_view> value;
    if (const size_t equals = name.find('=');
        equals != absl::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(name);
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no flag --", name, " (--help lists them)"));
    }
    if (!value && i + 1 < argc) value = argv[++i];
    if (!value) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " needs a value"));
    }
    std::string error;
    if (!flag->ParseFrom(*value, &error)) {
      return absl::InvalidArgumentError(error);
    }
  }
  return absl::OkStatus();
}

bool AsksForHelp(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc, [](absl::string_view argument) {
    return argument == "--help";
  });
}

std::string FlagsHelp() {
  const auto flags = absl::GetAllFlags();
  const std::map<absl::string_view, absl::CommandLineFlag*> sorted(
      flags.begin(), flags.end());
  std::string help;
  for (const auto& [name, flag] : sorted) {
    absl::StrAppend(&help, "  --", name, "=", flag->DefaultValue(), "\n      ",
                    flag->Help(), "\n");
  }
  return help;
}

absl::Status CheckFlag(absl::string_view name, int64_t value, int64_t low,
                       int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, " may be ", low, " to ", high, ", not ", value));
}

}  // namespace bibop::benchmarks
