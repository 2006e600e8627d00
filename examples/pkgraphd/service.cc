#include "bibop/examples/pkgraphd/service.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "asio/awaitable.hpp"
#include "asio/post.hpp"
#include "asio/use_awaitable.hpp"
#include "bibop/base/json_writer.h"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraph/lookup.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraph/queries.h"
#include "bibop/examples/pkgraphd/closure_walk.h"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/mention_walk.h"
#include "bibop/examples/pkgraphd/metrics.h"
#include "bibop/examples/pkgraphd/name_search.h"
#include "bibop/examples/pkgraphd/package_json.h"
#include "bibop/examples/pkgraphd/reloader.h"
#include "bibop/examples/pkgraphd/status_page.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {
namespace {

using ::bibop::pkgraph::Follow;
using ::bibop::pkgraph::Graph;
using ::bibop::pkgraph::Package;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kJsonLines = "application/jsonl";
constexpr std::string_view kText = "text/plain; charset=utf-8";

// How much of an answer is found between two suspensions: some ten microseconds
// of work each, some KiB of text.
constexpr size_t kPackagesPerPart = 64;
constexpr size_t kMentionsPerPart = 128;
constexpr size_t kNamesPerPart = 2048;

constexpr size_t kMaxFoundNames = 100;

constexpr std::string_view kPaths =
    R"(GET  /package/NAME
GET  /closure/NAME[?recommends=1]
GET  /rdeps/NAME
GET  /why/A/B[?recommends=1]
GET  /search?q=TEXT
POST /reload
GET  /healthz
GET  /metrics
GET  /gcz
)";

// The parameter's value; empty if there is none.
std::string_view Parameter(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.query) {
    if (key == name) return value;
  }
  return "";
}

Follow FollowOf(const HttpRequest& request) {
  return Parameter(request, "recommends") == "1" ? Follow::kDependsAndRecommends
                                                 : Follow::kDepends;
}

asio::awaitable<void> SendError(HttpResponse& response, int code,
                                std::string_view message) {
  JsonWriter json;
  json.BeginObject().Key("error").String(message).EndObject();
  return response.Send(code, kJson, json.text() + "\n");
}

// Why an index could not be loaded.
int CodeOf(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:  // the sender's business
      return 422;
    case absl::StatusCode::kUnavailable:  // too many graphs
    case absl::StatusCode::kCancelled:    // the service ends
      return 503;
    default:
      return 500;
  }
}

// Part of a walk's answer: how many packages it looks at is up to its kind.
bool AdvancePart(Mutator& mutator, Handle<ClosureWalk> walk,
                 std::string& lines) {
  return Advance(mutator, walk, kPackagesPerPart, lines);
}
bool AdvancePart(Mutator& mutator, Handle<MentionWalk> walk,
                 std::string& lines) {
  return Advance(mutator, walk, kMentionsPerPart, lines);
}

}  // namespace

struct Service::Route {
  std::string_view method;
  std::string_view name;  // the first segment of the path
  size_t arguments;       // how many segments follow
  asio::awaitable<void> (Service::*answer)(const HttpRequest&, HttpResponse&);
};

const Service::Route Service::kRoutes[] = {
    {"GET", "", 0, &Service::Index},
    {"GET", "package", 1, &Service::PackageOf},
    {"GET", "closure", 1, &Service::Closure},
    {"GET", "rdeps", 1, &Service::ReverseDependencies},
    {"GET", "why", 2, &Service::Why},
    {"GET", "search", 0, &Service::Search},
    {"POST", "reload", 0, &Service::Reload},
    {"GET", "healthz", 0, &Service::Health},
    {"GET", "metrics", 0, &Service::MetricsText},
    {"GET", "gcz", 0, &Service::StatusPage},
    {"GET", "gcz.json", 0, &Service::StatusJson},
};

Service::Service(Heap& heap, const GraphStore& store, Reloader& reloader,
                 std::function<Metrics()> metrics)
    : heap_(heap),
      store_(store),
      reloader_(reloader),
      metrics_(std::move(metrics)) {}

asio::awaitable<void> Service::Answer(const HttpRequest& request,
                                      HttpResponse& response) {
  const std::string_view name =
      request.path.empty() ? std::string_view() : request.path[0];
  const size_t arguments = request.path.empty() ? 0 : request.path.size() - 1;
  for (const Route& route : kRoutes) {
    if (route.name != name || route.arguments != arguments) continue;
    // To HEAD the response leaves the body out.
    if (route.method == request.method ||
        (route.method == "GET" && request.method == "HEAD")) {
      return (this->*route.answer)(request, response);
    }
    response.AddHeader("Allow", route.method);
    return SendError(response, 405, "the path knows no such method");
  }
  return SendError(response, 404,
                   "there is no such path; / lists those there are");
}

asio::awaitable<void> Service::Index(const HttpRequest& /*request*/,
                                     HttpResponse& response) {
  return response.Send(200, kText, std::string(kPaths));
}

asio::awaitable<void> Service::PackageOf(const HttpRequest& request,
                                         HttpResponse& response) {
  absl::StatusOr<std::string> answer = AsyncHandleScope::WithGuard(
      TaskMutator(),
      [&](AsyncHandleGuard& guard) -> absl::StatusOr<std::string> {
        Handle<LoadedIndex> index = store_.Current(guard);
        Handle<Graph> graph = guard.Local(index->graph).ToHandleChecked();
        const absl::StatusOr<Handle<Package>> package =
            LookUp(guard.mutator(), graph, request.path[1]);
        if (!package.ok()) return package.status();
        return PackageJson(**package);
      });
  if (!answer.ok()) return SendError(response, 404, answer.status().message());
  return response.Send(200, kJson, *std::move(answer));
}

template <class Walk>
asio::awaitable<void> Service::Stream(
    const HttpRequest& request, HttpResponse& response,
    Handle<Walk> (*make)(Mutator&, Handle<Package>, Follow)) {
  // The index, which is alive as long as anybody is answered from it, and the
  // walk.
  AsyncHandleScope scope(heap_);
  AsyncHandle<Walk> walk;
  const absl::Status found = AsyncHandleScope::WithGuard(
      TaskMutator(), [&](AsyncHandleGuard& guard) -> absl::Status {
        Handle<LoadedIndex> index = store_.Current(guard);
        Handle<Graph> graph = guard.Local(index->graph).ToHandleChecked();
        const absl::StatusOr<Handle<Package>> package =
            LookUp(guard.mutator(), graph, request.path[1]);
        if (!package.ok()) return package.status();
        scope.Add(index);
        walk = scope.Add(make(guard.mutator(), *package, FollowOf(request)));
        return absl::OkStatus();
      });
  if (!found.ok()) {
    co_await SendError(response, 404, found.message());
    co_return;
  }
  co_await response.Start(200, kJsonLines);
  bool more = true;
  while (more) {
    std::string lines;
    more = AsyncHandleScope::WithGuard(
        TaskMutator(), [&](AsyncHandleGuard& guard) {
          return AdvancePart(guard.mutator(), guard.GetUnchecked(walk), lines);
        });
    if (!lines.empty()) co_await response.Write(std::move(lines));
  }
}

asio::awaitable<void> Service::Closure(const HttpRequest& request,
                                       HttpResponse& response) {
  return Stream<ClosureWalk>(request, response, NewClosureWalk);
}

asio::awaitable<void> Service::ReverseDependencies(const HttpRequest& request,
                                                   HttpResponse& response) {
  return Stream<MentionWalk>(
      request, response,
      [](Mutator& mutator, Handle<Package> package, Follow /*follow*/) {
        return NewMentionWalk(mutator, package);
      });
}

asio::awaitable<void> Service::Why(const HttpRequest& request,
                                   HttpResponse& response) {
  absl::StatusOr<std::string> answer = AsyncHandleScope::WithGuard(
      TaskMutator(),
      [&](AsyncHandleGuard& guard) -> absl::StatusOr<std::string> {
        Mutator& mutator = guard.mutator();
        Handle<LoadedIndex> index = store_.Current(guard);
        Handle<Graph> graph = guard.Local(index->graph).ToHandleChecked();
        const absl::StatusOr<Handle<Package>> from =
            LookUp(mutator, graph, request.path[1]);
        if (!from.ok()) return from.status();
        const absl::StatusOr<Handle<Package>> to =
            LookUp(mutator, graph, request.path[2]);
        if (!to.ok()) return to.status();
        return PathJson(
            pkgraph::Why(mutator, graph, *from, *to, FollowOf(request)));
      });
  if (!answer.ok()) return SendError(response, 404, answer.status().message());
  return response.Send(200, kJson, *std::move(answer));
}

asio::awaitable<void> Service::Search(const HttpRequest& request,
                                      HttpResponse& response) {
  const std::string_view text = Parameter(request, "q");
  if (text.empty()) {
    co_await SendError(response, 400, "what to search for? /search?q=TEXT");
    co_return;
  }
  AsyncHandleScope scope(heap_);
  AsyncHandle<NameSearch> search;
  AsyncHandleScope::WithGuard(TaskMutator(), [&](AsyncHandleGuard& guard) {
    Handle<LoadedIndex> index = store_.Current(guard);
    Handle<Graph> graph = guard.Local(index->graph).ToHandleChecked();
    scope.Add(index);
    search = scope.Add(
        guard.New<NameSearch>(graph, std::string(text), kMaxFoundNames));
  });
  std::string answer;
  while (answer.empty()) {
    AsyncHandleScope::WithGuard(TaskMutator(), [&](AsyncHandleGuard& guard) {
      Handle<NameSearch> s = guard.GetUnchecked(search);
      if (!Advance(*s, kNamesPerPart)) answer = ToJson(*s);
    });
    // Other requests' turn.
    co_await asio::post(asio::use_awaitable);
  }
  co_await response.Send(200, kJson, std::move(answer));
}

asio::awaitable<void> Service::Reload(const HttpRequest& /*request*/,
                                      HttpResponse& response) {
  const absl::StatusOr<LoadReport> report = co_await reloader_.Reload();
  if (!report.ok()) {
    const int code = CodeOf(report.status());
    if (code == 503) response.AddHeader("Retry-After", "1");
    co_await SendError(response, code, report.status().message());
    co_return;
  }
  JsonWriter json;
  json.BeginObject().Key("index").Integer(report->number);
  json.Key("packages").Integer(static_cast<int64_t>(report->packages));
  json.Key("versions").Integer(static_cast<int64_t>(report->versions));
  json.Key("dependencies").Integer(static_cast<int64_t>(report->dependencies));
  json.Key("seconds").Number(absl::ToDoubleSeconds(report->elapsed));
  json.EndObject();
  std::string answer = json.text() + "\n";
  co_await response.Send(200, kJson, std::move(answer));
}

asio::awaitable<void> Service::Health(const HttpRequest& /*request*/,
                                      HttpResponse& response) {
  return response.Send(200, kText, "ok\n");
}

asio::awaitable<void> Service::MetricsText(const HttpRequest& /*request*/,
                                           HttpResponse& response) {
  return response.Send(200, "text/plain; version=0.0.4; charset=utf-8",
                       PrometheusText(metrics_()));
}

asio::awaitable<void> Service::StatusPage(const HttpRequest& /*request*/,
                                          HttpResponse& response) {
  return response.Send(200, "text/html; charset=utf-8",
                       std::string(kStatusPage));
}

asio::awaitable<void> Service::StatusJson(const HttpRequest& /*request*/,
                                          HttpResponse& response) {
  return response.Send(200, kJson, ToJson(metrics_()));
}

}  // namespace bibop::pkgraphd
