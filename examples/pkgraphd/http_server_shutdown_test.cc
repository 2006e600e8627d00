// How the HTTP server ends.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_server_fixture.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Longer than any test takes.
constexpr absl::Duration kLong = absl::Minutes(10);

TEST(HttpServerShutdown, ClosesIdleConnectionsAtOnce) {
  TestServer server;
  RawClient silent(server.port());
  RawClient client(server.port());
  client.Send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("echo\n\n\n"), StartsWith("HTTP/1.1 200 OK"));
  server.server().Shutdown(kLong);
  EXPECT_EQ(client.ReadAll(), "");
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_EQ(server.server().stats().open_connections, 0);
}

TEST(HttpServerShutdown, LetsARequestFinishAndClosesAfterIt) {
  TestServer server;
  RawClient client(server.port());
  client.Send(
      "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  server.AwaitWaiting(1);
  RawClient idle(server.port());
  std::thread shutdown([&] { server.server().Shutdown(kLong); });
  // The shutdown has begun when this one is closed.
  EXPECT_EQ(idle.ReadAll(), "");
  EXPECT_EQ(server.server().stats().requests_in_flight, 1);
  server.OpenGate();
  EXPECT_THAT(client.ReadAll(), AllOf(HasSubstr("Connection: close\r\n"),
                                      EndsWith("\r\n\r\nwaited\n")));
  client.Close();
  shutdown.join();
}

TEST(HttpServerShutdown, LetsAStreamFinish) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /stream-wait HTTP/1.1\r\nHost: h\r\n\r\n");
  server.AwaitWaiting(1);
  RawClient idle(server.port());
  std::thread shutdown([&] { server.server().Shutdown(kLong); });
  EXPECT_EQ(idle.ReadAll(), "");
  server.OpenGate();
  EXPECT_THAT(client.ReadAll(), EndsWith("second\n\r\n0\r\n\r\n"));
  client.Close();
  shutdown.join();
}

TEST(HttpServerShutdown, LetsARequestThatIsBeingSentFinish) {
  TestServer server;
  RawClient client(server.port());
  client.Send(
      "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
      "Expect: 100-continue\r\n\r\n");
  client.ReadUntil("100 Continue\r\n\r\n");
  RawClient idle(server.port());
  std::thread shutdown([&] { server.server().Shutdown(kLong); });
  EXPECT_EQ(idle.ReadAll(), "");
  client.Send("abc");
  EXPECT_THAT(client.ReadAll(), AllOf(HasSubstr("Connection: close\r\n"),
                                      EndsWith("\r\n\r\nabc")));
  client.Close();
  shutdown.join();
}

TEST(HttpServerShutdown, CutsWhatIsLeftAfterTheGrace) {
  TestServer server;
  RawClient waits(server.port());
  waits.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  RawClient streams(server.port());
  streams.Send("GET /stream-wait HTTP/1.1\r\nHost: h\r\n\r\n");
  RawClient stalls(server.port());
  stalls.Send(
      "GET /stream?count=1000&size=1000000 HTTP/1.1\r\nHost: h\r\n\r\n");
  RawClient begins(server.port());
  begins.Send("GET /ec");
  server.AwaitWaiting(2);
  EXPECT_THAT(stalls.ReadUntil("aaaa"), StartsWith("HTTP/1.1 200 OK"));
  const absl::Time start = absl::Now();
  server.server().Shutdown(absl::Milliseconds(100));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(100));
  EXPECT_EQ(waits.ReadAll(), "");
  EXPECT_THAT(streams.ReadAll(), Not(HasSubstr("second")));
  EXPECT_THAT(stalls.ReadAll(), Not(HasSubstr("\r\n0\r\n\r\n")));
  EXPECT_EQ(begins.ReadAll(), "");
  const HttpServerStats stats = server.server().stats();
  EXPECT_EQ(stats.open_connections, 0);
  EXPECT_EQ(stats.requests_in_flight, 0);
  EXPECT_EQ(stats.handler_failures, 0);
}

TEST(HttpServerShutdown, MayBeCalledTwice) {
  TestServer server;
  server.server().Shutdown(kLong);
  server.server().Shutdown(kLong);
}

TEST(HttpServerShutdown, CutsConnectionsThatAreBeingAccepted) {
  for (int round = 0; round < 50; ++round) {
    TestServer server;
    std::thread clients([port = server.port()] {
      for (int i = 0; i < 20; ++i) {
        RawClient(port).Send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
      }
    });
    server.AwaitStats([](const HttpServerStats& stats) {
      return stats.connections_accepted > 0;
    });
    server.server().Shutdown(absl::ZeroDuration());
    const HttpServerStats stats = server.server().stats();
    EXPECT_EQ(stats.open_connections, 0);
    EXPECT_EQ(stats.requests_in_flight, 0);
    clients.join();
  }
}

// Connections that come, go and are cut meanwhile.
TEST(HttpServerShutdown, EndsUnderLoad) {
  for (int round = 0; round < 10; ++round) {
    auto server = std::make_unique<TestServer>();
    const uint16_t port = server->port();
    std::thread clients([&] {
      for (int i = 0; i < 20; ++i) {
        RawClient client(port);
        client.Send("GET /stream?count=3&size=100 HTTP/1.0\r\n\r\n");
        if (i % 3 != 0) client.ReadUntil("bb");
      }
    });
    server->AwaitStats([](const HttpServerStats& stats) {
      return stats.responses_by_class[2] > 3;
    });
    server->server().Shutdown(round % 2 == 0 ? absl::ZeroDuration() : kLong);
    clients.join();
  }
}

}  // namespace
}  // namespace bibop::pkgraphd
