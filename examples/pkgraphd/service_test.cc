// The service over real HTTP, in this process: what each path answers, and what
// becomes of a graph that is replaced while clients are answered from it.

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/daemon.h"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/examples/pkgraphd/http_client.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"
#include "bibop/examples/pkgraphd/metrics.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

std::string Stanza(std::string_view package, std::string_view fields = "") {
  return absl::StrCat("Package: ", package, "\nVersion: 1\nArchitecture: all\n",
                      fields, "\n");
}

// "top" has so many versions, each of which needs `count` packages whose names
// begin with `prefix`.
std::string WideIndex(std::string_view prefix, int versions, int count) {
  std::string text = Stanza("other", "Depends: top\n");
  for (int v = 0; v < versions; ++v) {
    std::string names;
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&names, i == 0 ? "" : ", ", prefix, v, "-", i);
    }
    absl::StrAppend(&text,
                    Stanza("top", absl::StrCat("Depends: ", names, "\n")));
  }
  return text;
}

// What /closure/top answers then: the last version is the first in the graph.
std::string WideClosure(std::string_view prefix, int versions, int count) {
  std::string lines;
  for (int v = versions - 1; v >= 0; --v) {
    for (int i = 0; i < count; ++i) {
      absl::StrAppend(&lines, R"({"package": ")", prefix, v, "-", i,
                      R"(", "state": "missing", "distance": 1})", "\n");
    }
  }
  return lines;
}

// 9 MB of answer: more than the kernel takes while the client does not read.
constexpr int kVersions = 8, kCount = 4500;
std::string Long(char letter) { return std::string(200, letter); }

class ServiceTest : public testing::Test {
 protected:
  void Write(const std::string& text) {
    std::ofstream(file_, std::ios::trunc) << text;
  }

  void Start(const std::string& text, StressOptions stress = {}) {
    Write(text);
    DaemonOptions options;
    options.index = file_;
    options.threads = 3;
    options.heap.stress = stress;
    absl::StatusOr<std::unique_ptr<Daemon>> daemon =
        Daemon::Start(std::move(options));
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
  }

  HttpClientOptions Server() const { return {.port = daemon_->port()}; }

  HttpReply Get(std::string_view target) {
    return HttpClient(Server()).Get(target).value();
  }
  HttpReply Reload() {
    return HttpClient(Server()).Post("/reload", "text/plain", "").value();
  }

  // Has a client that reads no further keep the current graph, and replaces
  // that, until there are as many as there may be; then reloads once more.
  void ReloadWhileOldGraphsAreKept(size_t graphs) {
    bool is_first = true;
    HttpClient(Server())
        .Get("/closure/top",
             [&](std::string_view) {
               if (!std::exchange(is_first, false)) return false;
               const HttpReply reply = Reload();
               if (graphs < GraphStore::kMaxGraphs) {
                 EXPECT_EQ(reply.status, 200);
                 ReloadWhileOldGraphsAreKept(graphs + 1);
               } else {
                 EXPECT_EQ(reply.status, 503);
                 EXPECT_EQ(reply.Header("retry-after"), "1");
               }
               return false;
             })
        .IgnoreError();
  }

  // Whether `is_so` becomes true in good time.
  static bool Becomes(absl::FunctionRef<bool()> is_so) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!is_so()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }
  // Old graphs are found dead by one collection, and swept before the next.
  int64_t GraphsAfterCollection() {
    daemon_->heap().Collect();
    daemon_->heap().Collect();
    return daemon_->metrics().graphs_alive;
  }

  const std::string file_ =
      std::filesystem::path(testing::TempDir()) /
      absl::StrCat(
          testing::UnitTest::GetInstance()->current_test_info()->name(),
          ".index");
  std::unique_ptr<Daemon> daemon_;
};

TEST_F(ServiceTest, EachPathHasItsAnswer) {
  Start(absl::StrCat(Stanza("a", "Depends: b++ | v\nRecommends: c\n"),
                     Stanza("b++"), Stanza("c", "Provides: v\n")));
  const struct {
    std::string_view target;
    std::string_view answer;
  } kAnswers[] = {
      {"/package/a",
       R"({"package": "a", "state": "available", "versions": [)"
       R"({"version": "1", "Depends": ["b++ | v"], "Recommends": ["c"]}]})"
       "\n"},
      {"/closure/a", R"({"package": "b++", "state": "available", "distance": 1}
{"package": "v", "state": "virtual", "distance": 1}
{"package": "c", "state": "available", "distance": 2}
)"},
      {"/closure/a?recommends=1",
       R"({"package": "b++", "state": "available", "distance": 1}
{"package": "v", "state": "virtual", "distance": 1}
{"package": "c", "state": "available", "distance": 1}
)"},
      {"/closure/b++", ""},
      {"/rdeps/b%2B%2B", R"({"package": "a", "field": "Depends"}
)"},
      {"/why/a/c",
       R"({"path": [)"
       R"({"from": "a", "field": "Depends", "item": "b++ | v", "to": "v"}, )"
       R"({"from": "v", "field": "Provides", "item": "v", "to": "c"}]})"
       "\n"},
      {"/why/c/a", R"({"path": null}
)"},
      {"/search?q=%2B", R"({"query": "+", "found": 1, "packages": ["b++"]}
)"},
      {"/healthz", "ok\n"},
  };
  for (const auto& [target, answer] : kAnswers) {
    const HttpReply reply = Get(target);
    EXPECT_EQ(reply.status, 200) << target;
    EXPECT_EQ(reply.body, answer) << target;
  }
  EXPECT_TRUE(absl::StrContains(Get("/").body, "/closure/NAME"));
  // A request may still hold objects a moment after its last byte came.
  EXPECT_TRUE(Becomes([&] {
    return absl::StrContains(Get("/metrics").body, "\nbibop_async_scopes 0");
  }));
  EXPECT_TRUE(absl::StrContains(Get("/gcz.json").body, "\"live_bytes\""));
  EXPECT_EQ(Get("/gcz").Header("content-type"), "text/html; charset=utf-8");
}

TEST_F(ServiceTest, WhatThereIsNotIsToldOf) {
  Start(Stanza("libfoo"));
  const HttpReply unknown = Get("/package/libfo");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, R"({"error": "the index has no package \"libfo\": )"
                          R"(did you mean \"libfoo\"?"})"
                          "\n");
  EXPECT_EQ(Get("/closure/nothing").status, 404);
  EXPECT_EQ(Get("/rdeps/nothing").status, 404);
  EXPECT_EQ(Get("/why/libfoo/nothing").status, 404);
  EXPECT_EQ(Get("/why/libfoo").status, 404);
  EXPECT_EQ(Get("/nothing").status, 404);
  EXPECT_EQ(Get("/package/libfoo/").status, 404);
  EXPECT_EQ(Get("/search").status, 400);
  EXPECT_EQ(Get("/search?q=").status, 400);
  const HttpReply get = Get("/reload");
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.Header("allow"), "POST");
}

TEST_F(ServiceTest, ABodyThatNoPathTakesMayBeSmall) {
  Start(Stanza("a"));
  const auto status = [&](size_t bytes) {
    return HttpClient(Server())
        .Post("/reload", "text/plain", std::string(bytes, 'x'))
        .value()
        .status;
  };
  EXPECT_EQ(status(size_t{4} << 10), 200);
  EXPECT_EQ(status((size_t{4} << 10) + 1), 413);
}

TEST_F(ServiceTest, AReloadServesWhatTheFileHasNow) {
  Start(Stanza("a"));
  Write(absl::StrCat(Stanza("a"), Stanza("b")));
  EXPECT_EQ(Get("/package/b").status, 404);
  const HttpReply reply = Reload();
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(absl::StartsWith(
      reply.body, R"({"index": 2, "packages": 2, "versions": 2, )"))
      << reply.body;
  EXPECT_EQ(Get("/package/b").status, 200);
  EXPECT_EQ(GraphsAfterCollection(), 1);
}

TEST_F(ServiceTest, AReloadThatFailsSaysWhyAndLeavesTheGraph) {
  Start(Stanza("a"));
  Write("Package: b\nVersion: 1\n\n");
  const HttpReply malformed = Reload();
  EXPECT_EQ(malformed.status, 422);
  EXPECT_TRUE(absl::StrContains(malformed.body, ".index:1: the stanza that"))
      << malformed.body;
  std::filesystem::remove(file_);
  EXPECT_EQ(Reload().status, 500);
  EXPECT_EQ(Get("/package/a").status, 200);
  EXPECT_EQ(daemon_->metrics().load_failures, 2);
  EXPECT_EQ(GraphsAfterCollection(), 1);
}

TEST_F(ServiceTest, AnAnswerIsOfOneGraphThoughThatIsReplacedMeanwhile) {
  Start(WideIndex(Long('o'), kVersions, kCount));
  Write(WideIndex("new", 1, 10));
  std::string body;
  bool reloaded = false;
  const absl::StatusOr<HttpReply> reply =
      HttpClient(Server()).Get("/closure/top", [&](std::string_view piece) {
        if (!reloaded) {
          reloaded = true;
          EXPECT_EQ(Reload().status, 200);
          EXPECT_EQ(Get("/closure/top").body, WideClosure("new", 1, 10));
          // This answer holds the old graph, wherever it has got to.
          EXPECT_EQ(GraphsAfterCollection(), 2);
          EXPECT_EQ(daemon_->heap().CountAsyncScopes(), 1u);
        }
        body.append(piece);
        return true;
      });
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 200);
  EXPECT_TRUE(body == WideClosure(Long('o'), kVersions, kCount));
  EXPECT_TRUE(Becomes([&] { return daemon_->heap().CountAsyncScopes() == 0; }));
  EXPECT_TRUE(Becomes([&] { return GraphsAfterCollection() == 1; }));
}

TEST_F(ServiceTest, ClientsThatDoNotReadKeepOnlySoManyGraphs) {
  // As long an answer, and fewer packages: it is loaded several times.
  Start(WideIndex(std::string(2000, 'k'), kVersions + 2, kCount / 10));
  ReloadWhileOldGraphsAreKept(1);
  EXPECT_EQ(daemon_->metrics().loads, GraphStore::kMaxGraphs + 1);
  EXPECT_TRUE(Becomes([&] { return daemon_->heap().CountAsyncScopes() == 0; }));
  EXPECT_EQ(Reload().status, 200);
}

TEST_F(ServiceTest, AClientThatGoesMidwayLeavesNothing) {
  Start(WideIndex(Long('p'), kVersions, kCount));
  for (int i = 0; i < 5; ++i) {
    HttpClient client(Server());
    EXPECT_TRUE(absl::IsCancelled(
        client.Get("/closure/top", [](std::string_view) { return false; })
            .status()));
  }
  EXPECT_TRUE(Becomes([&] { return daemon_->heap().CountAsyncScopes() == 0; }));
  EXPECT_EQ(Reload().status, 200);
  EXPECT_TRUE(Becomes([&] { return GraphsAfterCollection() == 1; }));
}

TEST_F(ServiceTest, AShutdownCutsWhatDoesNotFinishAndLeavesNothing) {
  Start(WideIndex(Long('p'), kVersions, kCount));
  bool is_shut_down = false;
  const absl::StatusOr<HttpReply> reply =
      HttpClient(Server()).Get("/closure/top", [&](std::string_view) {
        if (!is_shut_down) {
          EXPECT_EQ(daemon_->heap().CountAsyncScopes(), 1u);
          daemon_->Shutdown(absl::Milliseconds(1));
          is_shut_down = true;
          EXPECT_EQ(daemon_->heap().CountAsyncScopes(), 0u);
        }
        return true;
      });
  EXPECT_TRUE(absl::IsUnavailable(reply.status())) << reply.status();
  EXPECT_TRUE(is_shut_down);
}

TEST_F(ServiceTest, AShutdownLetsAReloadFinish) {
  Start(WideIndex(Long('p'), kVersions, kCount));
  std::thread client([this] {
    const absl::StatusOr<HttpReply> reply =
        HttpClient(Server()).Post("/reload", "text/plain", "");
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->status, 200);
  });
  EXPECT_TRUE(Becomes([&] { return daemon_->metrics().loads == 2; }));
  daemon_->Shutdown(absl::Seconds(60));
  client.join();
  daemon_.reset();
}

TEST_F(ServiceTest, AShutdownGivesUpAReloadThatDoesNotFinish) {
  Start(Stanza("a"));
  std::filesystem::remove(file_);
  // A pipe that nobody writes.
  ASSERT_EQ(mkfifo(file_.c_str(), 0600), 0);
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([this] {
      const absl::StatusOr<HttpReply> reply =
          HttpClient(Server()).Post("/reload", "text/plain", "");
      // It is cut, or told so.
      EXPECT_TRUE(reply.ok() ? reply->status == 503
                             : absl::IsUnavailable(reply.status()))
          << reply.status();
    });
  }
  EXPECT_TRUE(Becomes([&] {
    const Metrics metrics = daemon_->metrics();
    return metrics.loads == 2 && metrics.http.requests_in_flight == 2;
  }));
  daemon_->Shutdown(absl::Milliseconds(1));
  for (std::thread& client : clients) client.join();
  daemon_.reset();
  std::filesystem::remove(file_);
}

TEST_F(ServiceTest, AnswersAreConsistentUnderReloadsAndStress) {
  StressOptions stress;
  stress.every_safepoint = true;
  stress.verify = VerifyLevel::kReachable;
  stress.clobber = true;
  const std::string texts[] = {WideIndex("x", 1, 200), WideIndex("y", 1, 200)};
  const std::string closures[] = {WideClosure("x", 1, 200),
                                  WideClosure("y", 1, 200)};
  Start(texts[0], stress);
  std::atomic<bool> done = false;
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      HttpClient client(Server());
      while (!done) {
        const absl::StatusOr<HttpReply> closure = client.Get("/closure/top");
        ASSERT_TRUE(closure.ok()) << closure.status();
        EXPECT_TRUE(closure->body == closures[0] ||
                    closure->body == closures[1])
            << closure->body;
        const absl::StatusOr<HttpReply> mentions = client.Get("/rdeps/top");
        ASSERT_TRUE(mentions.ok()) << mentions.status();
        EXPECT_EQ(mentions->body,
                  "{\"package\": \"other\", \"field\": \"Depends\"}\n");
        const absl::StatusOr<HttpReply> path = client.Get("/why/other/top");
        ASSERT_TRUE(path.ok()) << path.status();
        EXPECT_TRUE(absl::StrContains(path->body, "\"from\": \"other\""));
        const absl::StatusOr<HttpReply> found = client.Get("/search?q=19");
        ASSERT_TRUE(found.ok()) << found.status();
        EXPECT_TRUE(absl::StrContains(found->body, "\"found\": 12,"))
            << found->body;
      }
    });
  }
  for (int i = 1; i <= 6; ++i) {
    Write(texts[i % 2]);
    int status = 503;  // while requests that are slow hold old graphs
    while (status == 503) status = Reload().status;
    EXPECT_EQ(status, 200);
  }
  done = true;
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(Becomes([&] { return daemon_->heap().CountAsyncScopes() == 0; }));
  EXPECT_TRUE(Becomes([&] { return GraphsAfterCollection() == 1; }));
}

}  // namespace
}  // namespace bibop::pkgraphd
