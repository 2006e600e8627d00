#include "bibop/examples/pkgraph/progress.h"

#include <sstream>

#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

TEST(ProgressTest, LogGetsOneLineForEveryTenth) {
  std::ostringstream log;
  Progress progress(log, /*is_terminal=*/false, "rounds", 1000);
  for (int done = 1; done <= 250; ++done) progress.Update(done);
  EXPECT_EQ(log.str(),
            "100 of 1000 rounds (10%)\n"
            "200 of 1000 rounds (20%)\n");
}

TEST(ProgressTest, ShortLoopGetsOneLineForEveryRound) {
  std::ostringstream log;
  Progress progress(log, /*is_terminal=*/false, "rounds", 2);
  progress.Update(1);
  progress.Update(2);
  EXPECT_EQ(log.str(),
            "1 of 2 rounds (50%)\n"
            "2 of 2 rounds (100%)\n");
}

TEST(ProgressTest, BarGrowsInPlaceAndEndsItsLineWhenDone) {
  std::ostringstream terminal;
  Progress progress(terminal, /*is_terminal=*/true, "rounds", 2);
  progress.Update(1);
  EXPECT_EQ(terminal.str(),
            "\r[####################                    ] 1/2 rounds");
  terminal.str("");
  progress.Update(2);
  EXPECT_EQ(terminal.str(),
            "\r[########################################] 2/2 rounds\n");
}

}  // namespace
}  // namespace bibop::pkgraph
