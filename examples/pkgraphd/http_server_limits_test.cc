// What the HTTP server does about clients that are malformed, slow, or too
// many.

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_server_fixture.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kEcho = "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n";

// What the server sends to a client that sends `request`, until it closes.
std::string AnswerTo(TestServer& server, std::string_view request) {
  RawClient client(server.port());
  client.Send(request);
  return client.ReadAll();
}

TEST(HttpServerLimits, AnswersWhatIsMalformedAndCloses) {
  TestServer server({.max_head_bytes = 200, .max_body_bytes = 10});
  const struct {
    std::string request;
    std::string_view status;
  } cases[] = {
      {"nonsense\r\n\r\n", "400 Bad Request"},
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "400 Bad Request"},
      {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
       "501 Not Implemented"},
      {absl::StrCat("GET / HTTP/1.1\r\nHost: h\r\nX: ", std::string(300, 'x')),
       "431 Request Header Fields Too Large"},
      {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n"
       "Expect: 100-continue\r\n\r\n",
       "413 Content Too Large"},
      {"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
       "b\r\n01234567890\r\n",
       "413 Content Too Large"},
      {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", "505 HTTP Version Not Supported"},
  };
  for (const auto& [request, status] : cases) {
    EXPECT_THAT(AnswerTo(server, request),
                AllOf(StartsWith(absl::StrCat("HTTP/1.1 ", status, "\r\n")),
                      HasSubstr("Connection: close\r\n")))
        << request;
  }
  const HttpServerStats stats = server.server().stats();
  EXPECT_EQ(stats.requests_malformed, 8);
  EXPECT_EQ(stats.responses_by_class[4] + stats.responses_by_class[5], 8);
  RawClient client(server.port());
  client.Send(kEcho);
  EXPECT_THAT(client.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
}

TEST(HttpServerLimits, AnswersTheRequestsBeforeAMalformedOne) {
  TestServer server;
  const std::string answers =
      AnswerTo(server, absl::StrCat(kEcho, "nonsense\r\n\r\n", kEcho));
  EXPECT_THAT(answers,
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                    HasSubstr("echo\n\n\nHTTP/1.1 400 Bad Request\r\n")));
  // The one after it is not answered.
  const std::vector<std::string_view> parts =
      absl::StrSplit(answers, "HTTP/1.1 ");
  EXPECT_EQ(parts.size(), 3u) << answers;
}

// The answer has to reach a client that goes on sending.
TEST(HttpServerLimits, DeliversTheRefusalOfABodyThatIsBeingSent) {
  TestServer server({.max_body_bytes = 1000});
  RawClient client(server.port());
  client.Send(
      "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
  client.Send(std::string(200000, 'x'));
  EXPECT_THAT(client.ReadUntil("too large\n"),
              StartsWith("HTTP/1.1 413 Content Too Large\r\n"));
}

TEST(HttpServerLimits, SurvivesRandomBytes) {
  TestServer server;
  std::mt19937 random(20240229);
  for (int round = 0; round < 100; ++round) {
    std::string bytes(random() % 300, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    RawClient client(server.port());
    client.Send(bytes);
    client.CloseForSending();
    const std::string answer = client.ReadAll();
    EXPECT_THAT(answer, AnyOf("", StartsWith("HTTP/1.1 400 ")));
  }
  EXPECT_GT(server.server().stats().requests_malformed, 50);
}

// It closes its side, then waits for the client to do so, but not for ever. A
// client that sends much has the timer run out between two reads.
TEST(HttpServerLimits, LeavesAClientThatGoesOnSendingAfterTheEnd) {
  TestServer server;
  std::vector<std::unique_ptr<RawClient>> clients;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    threads.emplace_back([&client = *clients.back()] {
      const std::string flood(1000, 'x');
      client.Send("nonsense\r\n\r\n");
      const absl::Time start = absl::Now();
      while (absl::Now() < start + absl::Seconds(2) && client.Send(flood)) {
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // They are silent now, and their connections open.
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.requests_malformed == 8 && stats.open_connections == 0;
  }));
}

TEST(HttpServerLimits, EndsARequestThatComesTooSlowly) {
  TestServer server({.request_timeout = absl::Milliseconds(150)});
  RawClient client(server.port());
  // Each byte comes in time; what takes too long is all of them.
  const std::string head =
      absl::StrCat("GET /echo HTTP/1.1\r\nX: ", std::string(1000, 'y'));
  std::string_view request = head;
  const absl::Time start = absl::Now();
  while (client.Send(request.substr(0, 1)) && request.size() > 1 &&
         server.server().stats().requests_timed_out == 0) {
    request.remove_prefix(1);
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(100));
  EXPECT_GT(request.size(), 1u) << "it was sent in time";
  EXPECT_THAT(client.ReadAll(),
              AllOf(StartsWith("HTTP/1.1 408 Request Timeout\r\n"),
                    HasSubstr("Connection: close\r\n")));
}

TEST(HttpServerLimits, EndsABodyThatDoesNotCome) {
  TestServer server({.request_timeout = absl::Milliseconds(50)});
  EXPECT_THAT(AnswerTo(server,
                       "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                       "Expect: 100-continue\r\n\r\nab"),
              HasSubstr("HTTP/1.1 408 Request Timeout\r\n"));
  EXPECT_EQ(server.server().stats().requests_timed_out, 1);
}

TEST(HttpServerLimits, GivesTheHandlerTheTimeThatItTakes) {
  // Long enough for the client to send, and for the server to write.
  constexpr absl::Duration kTimeout = absl::Seconds(1);
  TestServer server({.request_timeout = kTimeout,
                     .idle_timeout = kTimeout,
                     .write_timeout = kTimeout,
                     .answer_timeout = kTimeout});
  RawClient client(server.port());
  client.Send("GET /wait HTTP/1.0\r\n\r\n");
  server.AwaitWaiting(1);
  absl::SleepFor(1.5 * kTimeout);
  server.OpenGate();
  EXPECT_THAT(client.ReadAll(), EndsWith("\r\n\r\nwaited\n"));
}

TEST(HttpServerLimits, ClosesAnIdleConnection) {
  TestServer server({.idle_timeout = absl::Seconds(1)});
  EXPECT_EQ(RawClient(server.port()).ReadAll(), "");
  RawClient client(server.port());
  client.Send(kEcho);
  EXPECT_THAT(client.ReadAll(), EndsWith("echo\n\n\n"));
}

TEST(HttpServerLimits, EndsAnAnswerThatTheClientDoesNotTake) {
  TestServer server({.write_timeout = absl::Milliseconds(50)});
  RawClient client(server.port());
  client.Send(
      "GET /stream?count=1000&size=1000000 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.answers_timed_out == 1 && stats.open_connections == 0;
  }));
  EXPECT_THAT(client.ReadAll(), Not(HasSubstr("\r\n0\r\n\r\n")));
}

TEST(HttpServerLimits, EndsAnAnswerThatTheClientTakesTooSlowly) {
  TestServer server({.write_timeout = absl::Hours(1),
                     .answer_timeout = absl::Milliseconds(300)});
  RawClient client(server.port());
  client.Send(
      "GET /stream?count=1000000&size=1000 HTTP/1.1\r\nHost: h\r\n\r\n");
  const absl::Time start = absl::Now();
  // Each write gets on, and the answer would take minutes.
  while (server.server().stats().answers_timed_out == 0 &&
         absl::Now() < start + absl::Seconds(20)) {
    client.ReadUntil("\r\n");
  }
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(300));
  EXPECT_EQ(server.server().stats().answers_timed_out, 1);
  EXPECT_THAT(client.ReadAll(), Not(HasSubstr("\r\n0\r\n\r\n")));
  EXPECT_TRUE(client.was_reset());
}

TEST(HttpServerLimits, RefusesConnectionsBeyondTheMost) {
  TestServer server({.max_connections = 2});
  RawClient first(server.port());
  RawClient second(server.port());
  first.Send(kEcho);
  second.Send(kEcho);
  EXPECT_THAT(first.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(second.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(AnswerTo(server, kEcho),
              AllOf(StartsWith("HTTP/1.1 503 Service Unavailable\r\n"),
                    HasSubstr("Retry-After: 1\r\n"),
                    HasSubstr("Connection: close\r\n")));
  first.Send(kEcho);
  EXPECT_THAT(first.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  second.Close();
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.open_connections == 1;
  }));
  RawClient third(server.port());
  third.Send(kEcho);
  EXPECT_THAT(third.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(server.server().stats().connections_refused, 1);
}

absl::Duration ProcessorTime() {
  timespec time;
  ABSL_CHECK_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
  return absl::DurationFromTimespec(time);
}

TEST(HttpServerLimits, WaitsForDescriptorsIfThereAreNone) {
  TestServer server;
  RawClient before(server.port());
  before.Send(kEcho);
  EXPECT_THAT(before.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  // One more descriptor, which the client takes.
  const int next = dup(0);
  ASSERT_GE(next, 0);
  close(next);
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit low = limit;
  low.rlim_cur = static_cast<rlim_t>(next) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const absl::Duration start = ProcessorTime();
  RawClient client(server.port());
  client.Send(kEcho);
  absl::SleepFor(absl::Milliseconds(300));
  // It neither gives up nor tries all the time.
  EXPECT_LT(ProcessorTime() - start, absl::Milliseconds(150));
  EXPECT_EQ(server.server().stats().connections_accepted, 1);
  before.Send(kEcho);
  EXPECT_THAT(before.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_THAT(client.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
}

TEST(HttpServerLimits, ServesOthersWhileHundredsSayNothing) {
  TestServer server({.request_timeout = absl::Minutes(10),
                     .idle_timeout = absl::Minutes(10)});
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 400; ++i) {
    silent.push_back(std::make_unique<RawClient>(server.port()));
    // Half of them begin.
    if (i % 2 == 0) silent.back()->Send("GET /e");
  }
  for (int i = 0; i < 20; ++i) {
    RawClient client(server.port());
    client.Send(kEcho);
    EXPECT_THAT(client.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  }
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.open_connections == 400;
  }));
  silent.front()->Send("cho HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(silent.front()->ReadUntil("echo\n\n\n"),
              StartsWith("HTTP/1.1 200 OK"));
}

}  // namespace
}  // namespace bibop::pkgraphd
