#include "bibop/examples/pkgraphd/http_client.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bibop/examples/pkgraphd/http_response_parser.h"
#include "bibop/examples/pkgraphd/http_server_fixture.h"
#include "bibop/examples/pkgraphd/http_server_stats.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using ::testing::HasSubstr;

// Of the answer; 0 and a failure of the test if there is none.
int Status(const absl::StatusOr<HttpReply>& reply) {
  EXPECT_TRUE(reply.ok()) << reply.status();
  return reply.ok() ? reply->status : 0;
}

std::string Body(const absl::StatusOr<HttpReply>& reply) {
  EXPECT_TRUE(reply.ok()) << reply.status();
  return reply.ok() ? reply->body : "no answer";
}

TEST(HttpClient, KeepsItsConnection) {
  TestServer server;
  HttpClient client({.port = server.port()});
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<HttpReply> reply =
        client.Get(absl::StrCat("/echo/", i));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->Header("content-type"), "text/plain");
    EXPECT_EQ(reply->Header("x-none"), "");
    EXPECT_EQ(reply->body, absl::StrCat("GET\necho|", i, "\n\n\n"));
  }
  EXPECT_EQ(Status(client.Get("/nothing")), 404);
  EXPECT_EQ(Status(client.Head("/body")), 200);
  EXPECT_EQ(Body(client.Get("/stream?count=2&size=2")), "aabb");
  EXPECT_EQ(Body(client.Get("/204")), "");
  EXPECT_EQ(Body(client.Post("/body", "text/plain", "abc")), "abc");
  EXPECT_EQ(server.server().stats().connections_accepted, 1);
}

TEST(HttpClient, ConnectsAgainWhenTheServerClosedAnIdleConnection) {
  TestServer server({.idle_timeout = absl::Seconds(1)});
  HttpClient client({.port = server.port()});
  EXPECT_EQ(Status(client.Get("/echo")), 200);
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.open_connections == 0;
  }));
  EXPECT_EQ(Status(client.Get("/echo")), 200);
  EXPECT_GE(server.server().stats().connections_accepted, 2);
}

TEST(HttpClient, DeliversTheBodyAsItComes) {
  TestServer server;
  HttpClient client({.port = server.port()});
  std::string body;
  const absl::StatusOr<HttpReply> reply =
      client.Get("/stream-wait", [&](std::string_view part) {
        body += part;
        if (body == "first\n") server.OpenGate();
        return true;
      });
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->body, "");
  EXPECT_EQ(body, "first\nsecond\n");
}

TEST(HttpClient, StopsWhenItsCallerDoes) {
  TestServer server;
  HttpClient client({.port = server.port()});
  size_t size = 0;
  const absl::Status status = client
                                  .Get("/stream?count=1000000&size=1000",
                                       [&](std::string_view part) {
                                         return (size += part.size()) < 5000;
                                       })
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(server.AwaitStats([](const HttpServerStats& stats) {
    return stats.open_connections == 0;
  }));
  EXPECT_EQ(Status(client.Get("/echo")), 200);
}

TEST(HttpClient, SendsAndReceivesMuch) {
  TestServer server({.max_body_bytes = size_t{20} << 20});
  HttpClient client({.port = server.port()});
  std::string body;
  for (int i = 0; body.size() < (size_t{10} << 20); ++i) {
    absl::StrAppend(&body, i, std::string(1000, 'x'));
  }
  const absl::StatusOr<HttpReply> reply =
      client.Post("/body", "text/plain", body);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->body == body);
}

TEST(HttpClient, SeesARefusalOfWhatItIsSending) {
  TestServer server;
  HttpClient client({.port = server.port()});
  const absl::StatusOr<HttpReply> reply =
      client.Post("/body", "text/plain", std::string(size_t{10} << 20, 'x'));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 413);
}

TEST(HttpClient, WaitsNoLongerThanItsTimeout) {
  TestServer server;
  HttpClient client({.port = server.port(), .timeout = absl::Milliseconds(50)});
  EXPECT_EQ(client.Get("/wait").status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(client.Get("/stream-wait").status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(HttpClient, SaysThatNobodyIsThere) {
  uint16_t port;
  {
    TestServer server;
    port = server.port();
  }
  HttpClient client({.port = port});
  const absl::Status status = client.Get("/").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("127.0.0.1 port ", port)));
  HttpClient elsewhere({.address = "nowhere", .port = port});
  EXPECT_EQ(elsewhere.Get("/").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(HttpClient, DoesNotTakeAnAnswerThatIsCutForAWholeOne) {
  TestServer server;
  HttpClient client({.port = server.port()});
  EXPECT_EQ(client.Get("/throw?after=start").status().code(),
            absl::StatusCode::kUnavailable);
}

// ---- the parser
// ---------------------------------------------------------------

using Result = HttpResponseParser::Result;

TEST(HttpResponseParser, EndsABodyWithTheConnectionIfNothingElseDoes) {
  HttpResponseParser parser(false, {});
  EXPECT_EQ(parser.Consume("HTTP/1.1 200 OK\r\nA: b\r\n\r\nab"), Result::kMore);
  EXPECT_EQ(parser.Consume("cd"), Result::kMore);
  EXPECT_EQ(parser.ConsumeEnd(), Result::kComplete);
  EXPECT_EQ(parser.reply().body, "abcd");
  EXPECT_FALSE(parser.keep_alive());
}

TEST(HttpResponseParser, FailsWhenTheConnectionEndsTooSoon) {
  for (const std::string_view part :
       {"", "HT", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"}) {
    HttpResponseParser parser(false, {});
    EXPECT_EQ(parser.Consume(part), Result::kMore) << part;
    EXPECT_EQ(parser.ConsumeEnd(), Result::kFailed) << part;
    EXPECT_FALSE(parser.error().empty());
  }
}

TEST(HttpResponseParser, LeavesOutInterimResponses) {
  HttpResponseParser parser(false, {});
  EXPECT_EQ(parser.Consume("HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"
                           "HTTP/1.1 103 Early\r\n\r\n"
                           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
            Result::kComplete);
  EXPECT_EQ(parser.reply().status, 200);
  EXPECT_EQ(parser.reply().Header("x"), "");
  EXPECT_EQ(parser.reply().body, "a");
  EXPECT_TRUE(parser.keep_alive());
}

TEST(HttpResponseParser, TakesAResponseByteByByte) {
  HttpResponseParser parser(false, {});
  const std::string_view response =
      "HTTP/1.1 404 Not Found\r\nX-Y:  z \r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nab\r\n0\r\nTrailer: t\r\n\r\n";
  for (size_t i = 0; i < response.size(); ++i) {
    ASSERT_EQ(parser.Consume(response.substr(i, 1)),
              i + 1 < response.size() ? Result::kMore : Result::kComplete);
  }
  EXPECT_EQ(parser.reply().status, 404);
  EXPECT_EQ(parser.reply().Header("x-y"), "z");
  EXPECT_EQ(parser.reply().Header("trailer"), "");
  EXPECT_EQ(parser.reply().body, "ab");
}

TEST(HttpResponseParser, RefusesWhatIsNoResponse) {
  for (const std::string_view bad :
       {"nonsense\r\n", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"}) {
    HttpResponseParser parser(false, {});
    EXPECT_EQ(parser.Consume(bad), Result::kFailed) << bad;
  }
}

}  // namespace
}  // namespace bibop::pkgraphd
