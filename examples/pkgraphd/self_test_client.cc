#include "bibop/examples/pkgraphd/self_test_client.h"

#include <atomic>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/daemon.h"
#include "bibop/examples/pkgraphd/http_client.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"

namespace bibop::pkgraphd {
namespace {

// The names in an answer of /search, of which none has a character that JSON
// escapes.
std::vector<std::string> NamesIn(std::string_view answer) {
  constexpr std::string_view kBefore = "\"packages\": [\"";
  const size_t begin = answer.find(kBefore), end = answer.rfind("\"]}");
  if (begin == answer.npos || end == answer.npos) return {};
  answer = answer.substr(0, end).substr(begin + kBefore.size());
  return absl::StrSplit(answer, "\", \"");
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

}  // namespace

bool Check(std::string_view target, const absl::StatusOr<HttpReply>& reply,
           int status, Findings& findings) {
  if (reply.ok() && reply->status == status) return true;
  findings.Error(
      reply.ok() ? absl::StrCat(target, ": ", reply->status, " ", reply->body)
                 : absl::StrCat(target, ": ", reply.status().ToString()));
  return false;
}

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

void SelfTestClient::Run(const absl::Notification& stop) {
  while (!stop.HasBeenNotified()) AskSomething();
  findings_.Latencies(latencies_);
}

void SelfTestClient::AskSomething() {
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

absl::StatusOr<HttpReply> SelfTestClient::Get(std::string_view target,
                                              HttpClient::OnBody on_body) {
  const absl::Time start = absl::Now();
  absl::StatusOr<HttpReply> reply = http_.Get(target, std::move(on_body));
  latencies_.push_back(absl::Now() - start);
  return reply;
}

std::string SelfTestClient::Ask(const std::string& target) {
  absl::StatusOr<HttpReply> reply = Get(target);
  if (!Check(target, reply, 200, findings_)) return "";
  findings_.Answer(target, reply->body);
  return std::move(reply->body);
}

void SelfTestClient::Expect(std::string_view target, int status,
                            std::string_view text) {
  const absl::StatusOr<HttpReply> reply = Get(target);
  if (Check(target, reply, status, findings_) &&
      !absl::StrContains(reply->body, text)) {
    findings_.Error(absl::StrCat(target, ": no '", text, "' in ", reply->body));
  }
}

void SelfTestClient::AskForNothing() {
  constexpr std::string_view kNothing = "no-such-package-anywhere";
  const std::string name = Escaped(AName());
  for (const std::string& target :
       {absl::StrCat("/package/", kNothing),
        absl::StrCat("/closure/", kNothing), absl::StrCat("/rdeps/", kNothing),
        absl::StrCat("/why/", kNothing, "/", name),
        absl::StrCat("/why/", name, "/", kNothing)}) {
    Expect(target, 404, kNothing);
  }
}

void SelfTestClient::CrossCheck(const std::string& name) {
  const std::string package = Ask(absl::StrCat("/package/", Escaped(name)));
  if (!absl::StrContains(package,
                         absl::StrCat("{\"package\": \"", name, "\""))) {
    return findings_.Error(absl::StrCat(name, " is not in ", package));
  }
  const std::string closure = Ask(absl::StrCat("/closure/", Escaped(name)));
  const std::vector<std::string_view> lines =
      absl::StrSplit(closure, '\n', absl::SkipEmpty());
  if (lines.empty()) {
    if (absl::StrContains(package, "\"Depends\": [")) {
      findings_.Error(absl::StrCat("no closure, but ", package));
    }
    return;
  }
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

void SelfTestClient::BreakOff(const std::string& target) {
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

}  // namespace bibop::pkgraphd
