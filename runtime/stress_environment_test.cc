#include "bibop/runtime/stress_environment.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/stress_options.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

using ::testing::HasSubstr;

HeapOptions Applied(absl::string_view text) {
  HeapOptions options;
  const absl::Status status = ApplyStress(text, options);
  EXPECT_TRUE(status.ok()) << status;
  return options;
}

// The message of the error that `text` is refused with.
std::string Refused(absl::string_view text) {
  HeapOptions options;
  const absl::Status status = ApplyStress(text, options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  EXPECT_FALSE(options.stress.Any()) << "changed by " << text;
  return std::string(status.message());
}

TEST(StressEnvironmentTest, EachItemSetsItsOption) {
  EXPECT_EQ(Applied("every-nth-allocation=7").stress.every_nth_allocation, 7);
  EXPECT_TRUE(Applied("every-safepoint").stress.every_safepoint);
  EXPECT_EQ(Applied("verify").stress.verify, VerifyLevel::kReachable);
  EXPECT_EQ(Applied("verify=exact").stress.verify, VerifyLevel::kExact);
  EXPECT_TRUE(Applied("clobber").stress.clobber);
  EXPECT_EQ(Applied("missing-roots=report").stress.missing_roots,
            MissingRoots::kReport);
  EXPECT_EQ(Applied("missing-roots=abort").stress.missing_roots,
            MissingRoots::kAbort);
  EXPECT_EQ(Applied("mode=concurrent").mode, CollectionMode::kConcurrent);
  EXPECT_EQ(Applied("mode=incremental").mode, CollectionMode::kIncremental);
  EXPECT_EQ(Applied("mode=stop-the-world").mode, CollectionMode::kStopTheWorld);
  EXPECT_EQ(Applied("markers=3").markers, 3);
  EXPECT_EQ(Applied("seed=18446744073709551615").stress.seed, ~uint64_t{0});
}

TEST(StressEnvironmentTest, EachPhaseHasAName) {
  EXPECT_EQ(Applied("phase=mark-start").stress.phase, StressPhase::kMarkStart);
  EXPECT_EQ(Applied("phase=marking").stress.phase, StressPhase::kMarking);
  EXPECT_EQ(Applied("phase=mark-finish").stress.phase,
            StressPhase::kMarkFinish);
  EXPECT_EQ(Applied("phase=clearing").stress.phase, StressPhase::kClearing);
  EXPECT_EQ(Applied("phase=sweeping").stress.phase, StressPhase::kSweeping);
}

TEST(StressEnvironmentTest, AListSetsAllAndLeavesTheRest) {
  HeapOptions options = {.markers = 5, .stress = {.clobber = true}};
  ASSERT_TRUE(
      ApplyStress("every-safepoint,verify,mode=incremental", options).ok());
  EXPECT_TRUE(options.stress.every_safepoint);
  EXPECT_EQ(options.stress.verify, VerifyLevel::kReachable);
  EXPECT_EQ(options.mode, CollectionMode::kIncremental);
  EXPECT_EQ(options.markers, 5);
  EXPECT_TRUE(options.stress.clobber);
}

TEST(StressEnvironmentTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(Refused("every-safepoin"),
              HasSubstr("'every-safepoin' is unkno"));
  EXPECT_THAT(Refused("verify,,clobber"), HasSubstr("'' is unknown"));
  EXPECT_THAT(Refused("verify,verify"), HasSubstr("verify is there twice"));
  EXPECT_THAT(Refused("every-safepoint=1"), HasSubstr("takes no value"));
  EXPECT_THAT(Refused("clobber="), HasSubstr("clobber takes no value"));
  EXPECT_THAT(Refused("verify=all"), HasSubstr("'all'; it may be exact"));
  EXPECT_THAT(Refused("phase=mark"), HasSubstr("'mark'; it may be mark-start"));
  EXPECT_THAT(Refused("phase"), HasSubstr("phase is ''"));
  EXPECT_THAT(Refused("mode=fast"), HasSubstr("stop-the-world"));
  EXPECT_THAT(Refused("missing-roots"), HasSubstr("report, abort"));
  EXPECT_THAT(Refused("every-nth-allocation=0"), HasSubstr("'0'"));
  EXPECT_THAT(Refused("every-nth-allocation=1k"), HasSubstr("from 1"));
  EXPECT_THAT(Refused("every-nth-allocation=-1"), HasSubstr("'-1'"));
  EXPECT_THAT(Refused("seed=18446744073709551616"), HasSubstr("seed is"));
  EXPECT_THAT(Refused("markers"), HasSubstr("markers is ''"));
}

class StressVariableTest : public ::testing::Test {
 protected:
  StressVariableTest() {
    if (const char* text = std::getenv("BIBOP_STRESS")) before_ = text;
  }
  ~StressVariableTest() override {
    setenv("BIBOP_STRESS", before_.c_str(), /*overwrite=*/1);
  }

 private:
  std::string before_;
};

TEST_F(StressVariableTest, TheEnvironmentSetsThemUnlessItIsToBeIgnored) {
  setenv("BIBOP_STRESS", "clobber", /*overwrite=*/1);
  HeapOptions options;
  ASSERT_TRUE(ApplyStressFromEnvironment(options).ok());
  EXPECT_TRUE(options.stress.clobber);
  HeapOptions ignoring = {.stress = {.ignore_environment = true}};
  ASSERT_TRUE(ApplyStressFromEnvironment(ignoring).ok());
  EXPECT_FALSE(ignoring.stress.clobber);

  setenv("BIBOP_STRESS", "", /*overwrite=*/1);
  HeapOptions untouched;
  ASSERT_TRUE(ApplyStressFromEnvironment(untouched).ok());
  EXPECT_FALSE(untouched.stress.Any());

  setenv("BIBOP_STRESS", "nonsense", /*overwrite=*/1);
  EXPECT_EQ(ApplyStressFromEnvironment(options).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(ApplyStressFromEnvironment(ignoring).ok());
}

}  // namespace
}  // namespace bibop
