// What the HTTP server promises to clients that keep to the protocol, and to
// handlers.

#include "bibop/examples/pkgraphd/http_server.h"

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "asio/any_io_executor.hpp"
#include "asio/ip/address_v6.hpp"
#include "asio/ip/tcp.hpp"
#include "asio/strand.hpp"
#include "asio/thread_pool.hpp"
#include "bibop/examples/pkgraphd/http_server_fixture.h"
#include "bibop/examples/pkgraphd/http_server_options.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(HttpServer, HandsTheDecodedRequestToTheHandler) {
  TestServer server;
  RawClient client(server.port());
  client.Send(
      "POST /echo/a%2Fb?q=x+y HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
      "\r\nbody");
  EXPECT_THAT(client.ReadUntil("body\n"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                    HasSubstr("Content-Type: text/plain\r\n"),
                    HasSubstr("Content-Length: 25\r\n"),
                    EndsWith("\r\n\r\nPOST\necho|a/b\nq=x y\nbody\n")));
}

TEST(HttpServer, TakesARequestByteByByte) {
  TestServer server;
  RawClient client(server.port());
  for (const char byte : std::string_view(
           "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
           "\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nTrailer: t\r\n\r\n")) {
    ASSERT_TRUE(client.Send(std::string_view(&byte, 1)));
  }
  EXPECT_THAT(client.ReadUntil("abcd\n"), EndsWith("POST\necho\n\nabcd\n"));
}

TEST(HttpServer, KeepsTheConnectionForTheNextRequest) {
  TestServer server;
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.Send(absl::StrCat("GET /echo?", i, " HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_THAT(client.ReadUntil(absl::StrCat("\n", i, "=\n\n")),
                AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                      Not(HasSubstr("Connection:"))));
  }
  EXPECT_EQ(server.server().stats().connections_accepted, 1);
}

TEST(HttpServer, AnswersPipelinedRequestsInTheirOrder) {
  TestServer server;
  RawClient client(server.port());
  std::string requests;
  for (int i = 0; i < 500; ++i) {
    absl::StrAppend(&requests, "POST /body HTTP/1.1\r\nHost: h\r\n",
                    "Content-Length: 6\r\n\r\n<", 1000 + i, ">");
  }
  client.Send(requests);
  for (int i = 0; i < 500; ++i) {
    EXPECT_THAT(client.ReadUntil(">"),
                EndsWith(absl::StrCat("<", 1000 + i, ">")));
  }
}

TEST(HttpServer, ClosesTheConnectionWhenTheClientAsksForIt) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), AllOf(HasSubstr("\r\nConnection: close\r\n"),
                                      EndsWith("\r\n\r\nGET\necho\n\n\n")));
}

TEST(HttpServer, AnswersAClientThatClosesItsSideAfterTheRequest) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  client.CloseForSending();
  EXPECT_THAT(client.ReadAll(), EndsWith("\r\n\r\nGET\necho\n\n\n"));
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  TestServer server;
  RawClient client(server.port());
  client.Send("HEAD /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), HasSubstr("Content-Length: 3\r\n"));
  client.Send("HEAD /stream?count=3&size=5 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"),
                    HasSubstr("Transfer-Encoding: chunked\r\n")));
  client.Send("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 404 Not"));
}

TEST(HttpServer, Answers204WithoutABody) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /204 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(),
              AllOf(StartsWith("HTTP/1.1 204 No Content\r\n"),
                    Not(HasSubstr("Content-")), EndsWith("\r\n\r\n")));
}

TEST(HttpServer, StreamsChunks) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /stream?count=2&size=17 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("0\r\n\r\n"),
              AllOf(HasSubstr("Transfer-Encoding: chunked\r\n"),
                    EndsWith("\r\n\r\n11\r\naaaaaaaaaaaaaaaaa\r\n11\r\n"
                             "bbbbbbbbbbbbbbbbb\r\n0\r\n\r\n")));
  client.Send("GET /stream?count=2&size=0 HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("0\r\n\r\n"), EndsWith("\r\n\r\n0\r\n\r\n"));
}

TEST(HttpServer, DeliversAChunkBeforeTheNextIsWritten) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /stream-wait HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("first\n"), EndsWith("\r\n\r\n6\r\nfirst\n"));
  server.OpenGate();
  EXPECT_EQ(client.ReadUntil("0\r\n\r\n"), "\r\n7\r\nsecond\n\r\n0\r\n\r\n");
}

TEST(HttpServer, StreamsAsFastAsTheClientReads) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /stream?count=64&size=1000000 HTTP/1.0\r\n\r\n");
  const std::string answer = client.ReadAll();
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, size_t{64} * 1000000);
}

TEST(HttpServer, EndsAStreamForHttp10WithTheConnection) {
  TestServer server;
  RawClient client(server.port());
  client.Send(
      "GET /stream?count=2&size=3 HTTP/1.0\r\nConnection: keep-alive"
      "\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), AllOf(Not(HasSubstr("Transfer-Encoding")),
                                      HasSubstr("Connection: close\r\n"),
                                      EndsWith("\r\n\r\naaabbb")));
}

TEST(HttpServer, KeepsAnHttp10ConnectionOnlyIfItIsAsked) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("echo\n\n\n"),
              HasSubstr("Connection: keep-alive\r\n"));
  client.Send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), HasSubstr("Connection: close\r\n"));
}

TEST(HttpServer, TellsAClientThatExpectsItToContinue) {
  TestServer server;
  RawClient client(server.port());
  client.Send(
      "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("abc");
  EXPECT_THAT(client.ReadUntil("abc"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpServer, DoesNotChangeTheProtocol) {
  TestServer server;
  RawClient client(server.port());
  client.Send(
      "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
      "Upgrade: websocket\r\n\r\n"
      "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("echo\n\n\n"),
              StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(client.ReadUntil("thing\n"), StartsWith("HTTP/1.1 404 Not"));
}

TEST(HttpServer, Makes500OfAHandlerThatFailsAndServesOn) {
  TestServer server;
  RawClient client(server.port());
  int64_t failures = 0;
  for (const std::string_view target :
       {"/throw", "/throw?after=nothing", "/silent", "/split?value=a%0d%0ab"}) {
    client.Send(absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_THAT(client.ReadUntil("internal error\n"),
                StartsWith("HTTP/1.1 500 Internal Server Error\r\n"))
        << target;
    EXPECT_EQ(server.server().stats().handler_failures, ++failures);
  }
  client.Send("GET /split?value=a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("split\n"), HasSubstr("X-Asked: a\r\n"));
}

TEST(HttpServer, CutsTheAnswerOfAHandlerThatFailsInItsMiddle) {
  TestServer server;
  for (const std::string_view version : {"1.0", "1.1"}) {
    RawClient client(server.port());
    client.Send(absl::StrCat("GET /throw?after=start HTTP/", version,
                             "\r\nHost: h\r\n\r\n"));
    EXPECT_THAT(client.ReadAll(), Not(HasSubstr("0\r\n\r\n")));
    // Without chunks nothing else tells it from a whole one.
    EXPECT_TRUE(client.was_reset()) << version;
  }
  RawClient client(server.port());
  client.Send("GET /twice HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), Not(HasSubstr("again")));
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.handler_failures == 3;
  }));
}

TEST(HttpServer, GetsOverAClientThatGoesInTheMiddleOfAnAnswer) {
  TestServer server;
  {
    RawClient client(server.port());
    client.Send(
        "GET /stream?count=100000&size=10000 HTTP/1.1\r\nHost: h\r\n"
        "\r\n");
    EXPECT_THAT(client.ReadUntil("aaaa"), StartsWith("HTTP/1.1 200 OK\r\n"));
  }
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.open_connections == 0 && stats.requests_in_flight == 0;
  }));
  EXPECT_EQ(server.server().stats().handler_failures, 0);
}

TEST(HttpServer, CountsWhatItDoes) {
  TestServer server;
  RawClient client(server.port());
  client.Send("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadUntil("echo\n\n\n");
  client.Send("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadUntil("thing\n");
  client.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  server.AwaitWaiting(1);
  const HttpServerStats stats = server.server().stats();
  EXPECT_EQ(stats.open_connections, 1);
  EXPECT_EQ(stats.requests_in_flight, 1);
  EXPECT_EQ(stats.responses_by_class[2], 1);
  EXPECT_EQ(stats.responses_by_class[4], 1);
  server.OpenGate();
  client.ReadUntil("waited\n");
  client.Close();
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& s) {
    return s.open_connections == 0 && s.requests_in_flight == 0 &&
           s.responses_by_class[2] == 2;
  }));
}

// ---- how it starts
// ------------------------------------------------------------

absl::Status ListenError(HttpServerOptions options) {
  asio::thread_pool pool(1);
  return HttpServer::Listen(
             [&] { return asio::make_strand(pool.get_executor()); },
             std::move(options), nullptr)
      .status();
}

TEST(HttpServer, RefusesOptionsThatMakeNoSense) {
  for (const HttpServerOptions& bad :
       {HttpServerOptions{.max_connections = 0},
        HttpServerOptions{.max_head_bytes = 63},
        HttpServerOptions{.request_timeout = absl::ZeroDuration()},
        HttpServerOptions{.idle_timeout = -absl::Seconds(1)},
        HttpServerOptions{.write_timeout = absl::InfiniteDuration()},
        HttpServerOptions{.answer_timeout = absl::ZeroDuration()},
        HttpServerOptions{.address = "localhost"},
        HttpServerOptions{.address = ""}}) {
    EXPECT_EQ(ListenError(bad).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(HttpServer, AcceptsAgainAfterItsExecutorsFailed) {
  asio::thread_pool pool(1);
  int calls = 0;
  const auto server = HttpServer::Listen(
      [&]() -> asio::any_io_executor {
        ++calls;
        // The first call is for the accepting.
        if (calls == 2) throw std::bad_alloc();
        if (calls == 3) throw 42;
        return asio::make_strand(pool.get_executor());
      },
      {},
      [](const HttpRequest&, HttpResponse& response) {
        return response.Send(200, "text/plain", "there\n");
      });
  ASSERT_TRUE(server.ok()) << server.status();
  RawClient client((*server)->port());
  client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("there\n"), StartsWith("HTTP/1.1 200 OK"));
  (*server)->Shutdown(absl::ZeroDuration());
  EXPECT_GE(calls, 4);
}

TEST(HttpServer, NamesTheAddressThatIsInUse) {
  TestServer server;
  const absl::Status status = ListenError({.port = server.port()});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(absl::StrCat("127.0.0.1 port ", server.port())),
                    HasSubstr("in use")));
}

TEST(HttpServer, ListensOnIpv6) {
  asio::thread_pool pool(1);
  // Not every machine has it.
  asio::ip::tcp::acceptor probe(pool);
  std::error_code error;
  probe.open(asio::ip::tcp::v6(), error);
  if (!error) probe.bind({asio::ip::make_address_v6("::1"), 0}, error);
  if (error) GTEST_SKIP() << error.message();

  const auto server =
      HttpServer::Listen([&] { return asio::make_strand(pool.get_executor()); },
                         {.address = "::1"}, nullptr);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_NE((*server)->port(), 0);
}

}  // namespace
}  // namespace bibop::pkgraphd
