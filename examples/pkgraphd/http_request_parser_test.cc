#include "bibop/examples/pkgraphd/http_request_parser.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr HttpLimits kLimits = {.max_head_bytes = 1000, .max_body_bytes = 100};

// The status that a request is refused with; 0 if it is complete, -1 if it
// wants more. The parser is given `step` bytes at a time.
int StatusOf(std::string_view bytes, size_t step = std::string_view::npos,
             HttpLimits limits = kLimits) {
  HttpRequestParser parser(limits);
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, step);
    bytes.remove_prefix(part.size());
    switch (parser.Consume(&part)) {
      case HttpParseResult::kMore:
        break;
      case HttpParseResult::kComplete:
        return 0;
      case HttpParseResult::kFailed:
        EXPECT_FALSE(parser.error().empty());
        EXPECT_FALSE(parser.keep_alive());
        return parser.error_status();
    }
  }
  return -1;
}

// The same, and checks that it does not matter how the bytes come.
int Status(std::string_view bytes, HttpLimits limits = kLimits) {
  const int status = StatusOf(bytes, std::string_view::npos, limits);
  EXPECT_EQ(StatusOf(bytes, 1, limits), status) << bytes;
  EXPECT_EQ(StatusOf(bytes, 7, limits), status) << bytes;
  return status;
}

// A request with these lines besides "Host".
std::string Get(std::string_view fields, std::string_view body = "") {
  return absl::StrCat("GET / HTTP/1.1\r\nHost: h\r\n", fields, "\r\n", body);
}

TEST(HttpRequestParser, TakesARequestApart) {
  HttpRequestParser parser(kLimits);
  std::string_view bytes =
      "PUT /a%20b/c?d=e+f HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
      "abcNEXT";
  ASSERT_EQ(parser.Consume(&bytes), HttpParseResult::kComplete);
  EXPECT_EQ(bytes, "NEXT");
  EXPECT_EQ(parser.request().method, "PUT");
  EXPECT_EQ(parser.request().target, "/a%20b/c?d=e+f");
  EXPECT_THAT(parser.request().path, ElementsAre("a b", "c"));
  EXPECT_THAT(parser.request().query, ElementsAre(Pair("d", "e f")));
  EXPECT_EQ(parser.request().body, "abc");
  EXPECT_TRUE(parser.keep_alive());
  EXPECT_TRUE(parser.http_1_1());
}

TEST(HttpRequestParser, KeepsNothingOfTheRequestBefore) {
  HttpRequestParser parser(kLimits);
  std::string_view bytes =
      "POST /a?b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n0\r\n\r\n"
      "GET /c HTTP/1.0\r\n\r\n";
  ASSERT_EQ(parser.Consume(&bytes), HttpParseResult::kComplete);
  EXPECT_EQ(parser.request().body, "abc");
  parser.Next();
  EXPECT_FALSE(parser.started());
  ASSERT_EQ(parser.Consume(&bytes), HttpParseResult::kComplete);
  EXPECT_TRUE(bytes.empty());
  EXPECT_EQ(parser.request().method, "GET");
  EXPECT_THAT(parser.request().path, ElementsAre("c"));
  EXPECT_THAT(parser.request().query, IsEmpty());
  EXPECT_EQ(parser.request().body, "");
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_FALSE(parser.http_1_1());
}

TEST(HttpRequestParser, KnowsWhetherTheConnectionStays) {
  const auto keep_alive = [](std::string_view bytes) {
    HttpRequestParser parser(kLimits);
    EXPECT_EQ(parser.Consume(&bytes), HttpParseResult::kComplete);
    return parser.keep_alive();
  };
  EXPECT_TRUE(keep_alive(Get("")));
  EXPECT_FALSE(keep_alive(Get("Connection: close\r\n")));
  EXPECT_FALSE(keep_alive(Get("Connection: x, Close\r\n")));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(
      keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
  EXPECT_FALSE(
      keep_alive("GET / HTTP/1.0\r\nConnection: close\r\n"
                 "Connection: keep-alive\r\n\r\n"));
}

TEST(HttpRequestParser, RefusesWhatIsNotHttp) {
  for (const std::string_view bad :
       {"\x16\x03\x01\x02\x01\x01", "nonsense\r\n\r\n", "GET\r\n\r\n",
        "GET / HTTP/1.1\nHost: h\r\r\n", "GET / HTTPS/1.1\r\nHost: h\r\n\r\n",
        "GET / \r\n\r\n", "get / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n"}) {
    EXPECT_EQ(Status(bad), 400) << bad;
  }
  for (const std::string_view other :
       {"SOURCE / ICE/1.0", "GET / RTSP/1.0", "PLAY / RTSP/1.0", "GET / HTTP",
        "GET /", "GET /  HTTP/1.1", "GET  / HTTP/1.1", "GET / / HTTP/1.1"}) {
    EXPECT_EQ(Status(absl::StrCat(other, "\r\nHost: h\r\n\r\n")), 400) << other;
  }
  EXPECT_EQ(Status(Get("no colon\r\n")), 400);
  EXPECT_EQ(Status(Get("Space : x\r\n")), 400);
  EXPECT_EQ(Status(Get(": x\r\n")), 400);
  EXPECT_EQ(Status(Get(std::string_view("X: \0\r\n", 6))), 400);
}

TEST(HttpRequestParser, RefusesOtherVersions) {
  EXPECT_EQ(Status("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(Status("GET / HTTP/0.9\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(Status("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505);
  EXPECT_EQ(Status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
}

TEST(HttpRequestParser, RefusesMethodsThatAreNotForIt) {
  EXPECT_EQ(Status("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
}

TEST(HttpRequestParser, WantsOneHost) {
  EXPECT_EQ(Status("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(Status(Get("Host: h\r\n")), 400);
  EXPECT_EQ(Status("GET / HTTP/1.0\r\n\r\n"), 0);
}

TEST(HttpRequestParser, RefusesATargetThatItCannotDecode) {
  EXPECT_EQ(Status("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Status("GET /a?b=% HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

// Whoever forwarded the request might have seen its end elsewhere.
TEST(HttpRequestParser, RefusesARequestWhoseEndIsInDoubt) {
  const std::string_view chunked = "Transfer-Encoding: chunked\r\n";
  const std::string_view length = "Content-Length: 5\r\n";
  const std::string_view body = "0\r\n\r\n";
  EXPECT_EQ(Status(Get(absl::StrCat(chunked, length), body)), 400);
  EXPECT_EQ(Status(Get(absl::StrCat(length, chunked), body)), 400);
  EXPECT_EQ(Status(Get("Content-Length: 5\r\nContent-Length: 5\r\n", body)),
            400);
  EXPECT_EQ(Status(Get("Content-Length: 5, 5\r\n", body)), 400);
  EXPECT_EQ(Status(Get("Content-Length: +5\r\n", body)), 400);
  EXPECT_EQ(Status(Get("Content-Length: -5\r\n", body)), 400);
  EXPECT_EQ(Status(Get("Content-Length: 0x5\r\n", body)), 400);
  EXPECT_EQ(Status(Get("Content-Length: 99999999999999999999\r\n")), 400);
  EXPECT_EQ(Status(absl::StrCat("GET / HTTP/1.0\r\nHost: h\r\n", chunked,
                                "\r\n", body)),
            400);
  EXPECT_EQ(Status(Get(chunked, "x\r\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "-1\r\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "1\r\nabc\r\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "fffffffffffffffff\r\n")), 400);
  // Lines that end in two ways, and lines that are one line.
  EXPECT_EQ(Status("GET / HTTP/1.1\r\nHost: h\r\n\n"), 400);
  EXPECT_EQ(Status("GET / HTTP/1.1\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Status("GET / HTTP/1.1\r\nHost: h\n\r\n"), 400);
  EXPECT_EQ(Status("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Status("\r\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(Status("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0);
  EXPECT_EQ(Status("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400);
  EXPECT_EQ(Status(Get(" x\r\n")), 400);
  EXPECT_EQ(Status(Get("\tx\r\n")), 400);
  EXPECT_EQ(Status(Get("X: a\r\n b\r\n")), 400);
  EXPECT_EQ(Status(Get("X:\r\n \r\n")), 400);
  // Trailers are such lines too.
  EXPECT_EQ(Status(Get(chunked, "0\r\n\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "0\r\nT: a\r\n\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "0\r\nT: a\n\r\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "0\r\nT: a\r\n b\r\n\r\n")), 400);
  EXPECT_EQ(Status(Get(chunked, "0\r\nT: a\r\n\r\n")), 0);
}

TEST(HttpRequestParser, TakesNoBodyForAHead) {
  const std::string_view data = "\r\n\n x\r\n\r\n\r y";
  const std::string with_length =
      Get(absl::StrCat("Content-Length: ", data.size(), "\r\n"), data);
  const std::string with_chunks =
      Get("Transfer-Encoding: chunked\r\n",
          absl::StrCat("c\r\n", data, "\r\n2\r\n\n \r\n0\r\nT: a\r\n\r\n"));
  ASSERT_EQ(data.size(), size_t{0xc});
  for (const size_t step : {1, 2, 3, 7, 1000}) {
    HttpRequestParser parser(kLimits);
    std::string_view bytes = with_length;
    const auto consume = [&] {
      HttpParseResult result = HttpParseResult::kMore;
      while (result == HttpParseResult::kMore && !bytes.empty()) {
        std::string_view part = bytes.substr(0, step);
        bytes.remove_prefix(part.size());
        result = parser.Consume(&part);
        EXPECT_TRUE(part.empty());
      }
      return result;
    };
    ASSERT_EQ(consume(), HttpParseResult::kComplete) << step;
    EXPECT_EQ(parser.request().body, data);
    parser.Next();
    bytes = with_chunks;
    ASSERT_EQ(consume(), HttpParseResult::kComplete) << step;
    EXPECT_EQ(parser.request().body, absl::StrCat(data, "\n "));
  }
}

TEST(HttpRequestParser, RefusesTransferCodingsThatItDoesNotKnow) {
  const std::string_view body = "0\r\n\r\n";
  EXPECT_EQ(Status(Get("Transfer-Encoding: gzip\r\n")), 501);
  EXPECT_EQ(Status(Get("Transfer-Encoding: gzip, chunked\r\n", body)), 501);
  EXPECT_EQ(Status(Get("Transfer-Encoding: gzip\r\n"
                       "Transfer-Encoding: chunked\r\n",
                       body)),
            501);
  EXPECT_EQ(Status(Get("Transfer-Encoding: chunked, chunked\r\n", body)), 501);
  EXPECT_EQ(Status(Get("Transfer-Encoding: chunked, gzip\r\n", body)), 501);
  EXPECT_EQ(Status(Get("Transfer-Encoding: xchunked\r\n", body)), 501);
  EXPECT_EQ(Status(Get("transfer-encoding:  Chunked \r\n", body)), 0);
}

TEST(HttpRequestParser, RefusesExpectationsThatItDoesNotKnow) {
  EXPECT_EQ(Status(Get("Expect: more\r\n")), 417);
}

TEST(HttpRequestParser, SaysWhenTheClientWaits) {
  HttpRequestParser parser(kLimits);
  const std::string request =
      Get("Expect: 100-Continue\r\nContent-Length: 2\r\n");
  std::string_view bytes = request;
  ASSERT_EQ(parser.Consume(&bytes), HttpParseResult::kMore);
  EXPECT_TRUE(parser.expects_continue());
  bytes = "a";
  ASSERT_EQ(parser.Consume(&bytes), HttpParseResult::kMore);
  EXPECT_FALSE(parser.expects_continue());
  bytes = "b";
  ASSERT_EQ(parser.Consume(&bytes), HttpParseResult::kComplete);

  HttpRequestParser old(kLimits);
  bytes = "GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  ASSERT_EQ(old.Consume(&bytes), HttpParseResult::kMore);
  EXPECT_FALSE(old.expects_continue());
}

TEST(HttpRequestParser, RefusesAHeadThatIsTooLarge) {
  const auto with_field_of = [](size_t size) {
    return Get(absl::StrCat("X: ", std::string(size, 'x'), "\r\n"));
  };
  const size_t rest = with_field_of(0).size();
  EXPECT_EQ(Status(with_field_of(kLimits.max_head_bytes - rest)), 0);
  EXPECT_EQ(Status(with_field_of(kLimits.max_head_bytes - rest + 1)), 431);
  EXPECT_EQ(Status(absl::StrCat("GET /", std::string(2000, 'a'))), 431);
  EXPECT_EQ(Status(Get(std::string(2000, 'X'))), 431);
  std::string fields;
  for (int i = 0; i < 500; ++i) fields += "a:b\r\n";
  EXPECT_EQ(Status(Get(fields)), 431);
  // Empty lines before the request count too.
  std::string lines;
  for (int i = 0; i < 600; ++i) lines += "\r\n";
  EXPECT_EQ(Status(lines), 431);
}

TEST(HttpRequestParser, RefusesABodyThatIsTooLarge) {
  EXPECT_EQ(Status(Get("Content-Length: 100\r\n", std::string(100, 'x'))), 0);
  EXPECT_EQ(Status(Get("Content-Length: 101\r\n")), 413);
  const std::string_view chunked = "Transfer-Encoding: chunked\r\n";
  const std::string chunk =
      absl::StrCat("32\r\n", std::string(0x32, 'x'), "\r\n");
  EXPECT_EQ(Status(Get(chunked, absl::StrCat(chunk, chunk, "0\r\n\r\n"))), 0);
  EXPECT_EQ(Status(Get(chunked, absl::StrCat(chunk, chunk, "1\r\nx"))), 413);
  const HttpLimits none = {.max_head_bytes = 1000, .max_body_bytes = 0};
  EXPECT_EQ(Status(Get("Content-Length: 0\r\n"), none), 0);
  EXPECT_EQ(Status(Get("Content-Length: 1\r\n"), none), 413);
}

TEST(HttpRequestParser, RefusesEndlessTrailersAndChunkExtensions) {
  const std::string_view chunked = "Transfer-Encoding: chunked\r\n";
  const std::string text(2000, 'x');
  EXPECT_EQ(Status(Get(chunked, absl::StrCat("1;", text))), 431);
  EXPECT_EQ(Status(Get(chunked, absl::StrCat("1;a=", text))), 431);
  EXPECT_EQ(Status(Get(chunked, absl::StrCat("0\r\n", text))), 431);
  EXPECT_EQ(Status(Get(chunked, absl::StrCat("0\r\nA: ", text))), 431);
  EXPECT_EQ(Status(Get(chunked, "0\r\nHost: x\r\n\r\n")), 0);
}

// Requests with bytes changed, dropped and doubled, in pieces of any size.
TEST(HttpRequestParser, SurvivesWhateverBytesCome) {
  const std::array<std::string, 3> seeds = {
      Get("Connection: upgrade\r\nUpgrade: x\r\n"),
      Get("Content-Length: 12\r\nExpect: 100-continue\r\n", "GET / HTTP/1"),
      Get("Transfer-Encoding: chunked\r\n",
          "4;a=b\r\nabcd\r\n10\r\n0123456789abcdef\r\n0\r\nT: r\r\n\r\n")};
  std::mt19937 random(20240229);
  const auto below = [&random](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  size_t complete = 0;
  size_t failed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    if (below(10) == 0) {
      for (size_t n = below(200); n > 0; --n) {
        bytes += static_cast<char>(below(256));
      }
    } else {
      bytes = seeds[below(seeds.size())] + seeds[below(seeds.size())];
      for (size_t n = below(4); n > 0; --n) {
        const size_t at = below(bytes.size());
        switch (below(3)) {
          case 0:
            bytes[at] = static_cast<char>(below(256));
            break;
          case 1:
            bytes.erase(at, 1 + below(3));
            break;
          default:
            bytes.insert(at, bytes.substr(below(bytes.size()), below(20)));
        }
      }
    }
    HttpRequestParser parser({.max_head_bytes = 120, .max_body_bytes = 20});
    std::string_view rest = bytes;
    bool over = false;
    while (!rest.empty() && !over) {
      // A copy of its own lets the sanitizers see whoever reads past its end.
      const std::vector<char> piece(
          rest.begin(),
          rest.begin() + static_cast<std::ptrdiff_t>(
                             1 + below(std::min<size_t>(rest.size(), 40))));
      rest.remove_prefix(piece.size());
      std::string_view unread(piece.data(), piece.size());
      while (!unread.empty() && !over) {
        switch (parser.Consume(&unread)) {
          case HttpParseResult::kMore:
            EXPECT_TRUE(unread.empty());
            break;
          case HttpParseResult::kComplete:
            ++complete;
            parser.Next();
            break;
          case HttpParseResult::kFailed:
            ++failed;
            EXPECT_GE(parser.error_status(), 400);
            over = true;
        }
        EXPECT_LE(parser.request().body.size(), size_t{20});
        EXPECT_LE(parser.request().target.size(), size_t{120});
      }
    }
  }
  // Both ways were taken often.
  EXPECT_GT(complete, size_t{1000});
  EXPECT_GT(failed, size_t{1000});
}

}  // namespace
}  // namespace bibop::pkgraphd
