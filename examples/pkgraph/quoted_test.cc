#include "bibop/examples/pkgraph/quoted.h"

#include <string>

#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

TEST(QuotedTest, PlainTextIsUnchanged) {
  EXPECT_EQ(Quoted("libc6 (>= 2.34)"), "\"libc6 (>= 2.34)\"");
}

TEST(QuotedTest, NoByteReachesTheTerminalAsACommand) {
  EXPECT_EQ(Quoted("\x1b[2J\xc2\x9b"), R"("\x1b[2J\xc2\x9b")");
  EXPECT_EQ(Quoted("a\nb"), R"("a\nb")");
}

TEST(QuotedTest, LongTextIsCut) {
  EXPECT_EQ(Quoted(std::string(1 << 20, 'x')),
            "\"" + std::string(60, 'x') + "...\"");
}

}  // namespace
}  // namespace bibop::pkgraph
