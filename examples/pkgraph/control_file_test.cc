#include "bibop/examples/pkgraph/control_file.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <random>
#include <sstream>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/resident_memory.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace bibop::pkgraph {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Result {
  // The value of Package in each stanza, "?" if there is none.
  std::vector<std::string> packages;
  absl::Status status;
};

Result ReadAll(std::istream& input) {
  Result result;
  ControlFileReader reader(input, "index");
  while (true) {
    const absl::StatusOr<const Stanza*> stanza = reader.Next();
    result.status = stanza.status();
    if (!stanza.ok() || *stanza == nullptr) return result;
    const auto package = (*stanza)->Find("Package");
    result.packages.emplace_back(package ? package->value : "?");
  }
}

Result ReadAll(const std::string& text) {
  std::istringstream input(text);
  return ReadAll(input);
}

TEST(ControlFileTest, FieldsHaveTheirValuesAndLines) {
  std::istringstream input(
      "\n"
      "Package:  apt \n"
      "Depends: libc6,\n"
      " gpgv | gpgv2,\n"
      "\tadduser\n"
      "Essential:\n"
      "Description: a: b\n"
      "\n"
      "Package: b\n");
  ControlFileReader reader(input, "index");
  absl::StatusOr<const Stanza*> stanza = reader.Next();
  ASSERT_TRUE(stanza.ok()) << stanza.status();
  EXPECT_EQ((*stanza)->size(), 4);
  EXPECT_EQ((*stanza)->line(), 2);
  EXPECT_EQ((*stanza)->Find("Package")->value, "apt");
  EXPECT_EQ((*stanza)->Find("Depends")->value,
            "libc6,\n gpgv | gpgv2,\n\tadduser");
  EXPECT_EQ((*stanza)->Find("Depends")->line, 3);
  EXPECT_EQ((*stanza)->Find("Essential")->value, "");
  EXPECT_EQ((*stanza)->Find("Description")->value, "a: b");
  EXPECT_EQ((*stanza)->Find("Description")->line, 7);
  EXPECT_FALSE((*stanza)->Find("Version"));

  stanza = reader.Next();
  ASSERT_TRUE(stanza.ok()) << stanza.status();
  EXPECT_EQ((*stanza)->line(), 9);
  stanza = reader.Next();
  ASSERT_TRUE(stanza.ok()) << stanza.status();
  EXPECT_EQ(*stanza, nullptr);
}

TEST(ControlFileTest, NamesOfFieldsIgnoreCase) {
  EXPECT_THAT(ReadAll("PACKAGE: a\n").packages, ElementsAre("a"));
}

TEST(ControlFileTest, AnyNumberOfBlankLinesSeparatesStanzas) {
  const Result result = ReadAll("\n\nPackage: a\n \t\n\n\nPackage: b\n\n\n");
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.packages, ElementsAre("a", "b"));
}

TEST(ControlFileTest, EmptyFileHasNoStanzas) {
  const Result result = ReadAll("");
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_THAT(result.packages, IsEmpty());
}

TEST(ControlFileTest, TextNeedNotBeUtf8) {
  const Result result = ReadAll("Package: a\nMaintainer: J\xf6rg \xc3\n");
  EXPECT_TRUE(result.status.ok()) << result.status;
}

struct BadInput {
  std::string name;
  std::string text;
  std::string message;
};

class BadInputTest : public testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, IsAnErrorThatSaysWhereAndWhatAndLosesNoStanzaBeforeIt) {
  const Result result = ReadAll("Package: good\n\n" + GetParam().text);
  EXPECT_THAT(result.packages, ElementsAre("good"));
  EXPECT_EQ(result.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr(GetParam().message));
}

std::string ManyFields(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) absl::StrAppend(&text, "F", i, ": x\n");
  return text;
}

std::string ManyContinuations(size_t bytes) {
  std::string text = "Package: a\nDepends:\n";
  while (text.size() < bytes) text += " some-package,\n";
  return text;
}

std::string ManyLongFields(size_t bytes) {
  std::string text;
  for (size_t i = 0; text.size() < bytes; ++i) {
    absl::StrAppend(&text, "F", i, ": ", std::string(kMaxFieldBytes / 2, 'x'),
                    "\n");
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadInputTest,
    testing::Values(
        BadInput{"NoColon", "Package: a\nDepends\n",
                 "index:4: expected 'Name: value', found \"Depends\""},
        BadInput{"ContinuationOfNothing", " x\n",
                 "index:3: a line that continues a field"},
        BadInput{"EmptyName", ": x\n", "index:3: \"\" is not the name"},
        BadInput{"BlankInName", "Pack age: x\n",
                 "index:3: \"Pack age\" is not the name"},
        BadInput{"Comment", "# note: x\n", "index:3: \"# note\" is not the"},
        BadInput{"FieldTwice", "Package: a\nVersion: 1\nversion: 2\n",
                 "index:5: the stanza has a field \"version\" already, on "
                 "line 4"},
        BadInput{"NulByte", std::string("Package: a\0b\n", 13),
                 "index:3: the byte 0x00 is not text"},
        BadInput{"Gzip", "\x1f\x8b\x08\x00", "index:3: the byte 0x1f"},
        BadInput{"EscapeSequence", "Package: a\nX: \x1b[2J\n",
                 "index:4: the byte 0x1b"},
        BadInput{"CarriageReturn", "Package: a\r\n", "index:3: the byte 0x0d"},
        BadInput{"CutInALine", "Package: a\nVersi",
                 "index:4: the file ends in the middle of this line"},
        BadInput{"CutBeforeTheNewline", "Package: a\nVersion: 1",
                 "index:4: the file ends in the middle of this line"},
        BadInput{"FieldOf10MB",
                 "Package: a\nDepends: " + std::string(10'000'000, 'x') + "\n",
                 "index:4: a line of more than 1048576 bytes"},
        BadInput{"LongFieldOfShortLines", ManyContinuations(10'000'000),
                 "index:4: the field \"Depends\" is longer than 1048576"},
        BadInput{"LongStanza", ManyLongFields(10'000'000),
                 "index:3: the stanza is longer than 8388608 bytes"},
        BadInput{"ManyFields", ManyFields(kMaxFields + 1),
                 "index:1003: a stanza with more than 1000 fields"}),
    [](const auto& test) { return test.param.name; });

TEST(ControlFileTest, FieldsAndStanzasUpToTheLimitsAreRead) {
  const std::string name = "Package: ";
  const Result longest =
      ReadAll(name + std::string(kMaxFieldBytes - name.size(), 'x') + "\n");
  EXPECT_TRUE(longest.status.ok()) << longest.status;
  const Result most = ReadAll(ManyFields(kMaxFields));
  EXPECT_TRUE(most.status.ok()) << most.status;
}

TEST(ControlFileTest, ErrorIsReturnedAgainAndAgain) {
  std::istringstream input("bad\nPackage: a\n");
  ControlFileReader reader(input, "index");
  const absl::Status first = reader.Next().status();
  EXPECT_FALSE(first.ok());
  EXPECT_EQ(reader.Next().status(), first);
}

TEST(ControlFileTest, StreamThatFailsIsAnError) {
  std::ifstream directory("/");
  const Result result = ReadAll(directory);
  EXPECT_THAT(std::string(result.status.message()),
              HasSubstr("index:1: the file cannot be read"));
}

// Wherever a file is cut, no stanza comes out that is not in the file, and a
// cut inside a line is noticed.
TEST(ControlFileTest, FileCutAtAnyByte) {
  const std::string whole =
      "Package: a\nDepends: x,\n y\n\nPackage: b\n\n\nPackage: c\nVersion: 1\n";
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::string text = whole.substr(0, size);
    const Result result = ReadAll(text);
    const bool cut_in_line = !text.empty() && text.back() != '\n';
    EXPECT_EQ(result.status.ok(), !cut_in_line) << size;
    const size_t ended = absl::StrContains(text, "\n\nPackage: c\n")   ? 3
                         : absl::StrContains(text, "\n\nPackage: b\n") ? 2
                         : absl::StrContains(text, "Package: a\n")     ? 1
                                                                       : 0;
    EXPECT_LE(result.packages.size(), ended) << size;
    EXPECT_GE(result.packages.size() + 1, ended) << size;
  }
}

// Any bytes at all: a result or an error that names a line of the file.
TEST(ControlFileTest, RandomDamageIsNeverMoreThanAnError) {
  const std::string sound =
      "Package: a\nVersion: 1\nDepends: b (>= 1) | c,\n d\n\nPackage: b\n"
      "Version: 2\nDescription: text\n .\n more\n\n";
  for (uint32_t seed = 0; seed < 20'000; ++seed) {
    std::mt19937 random(seed);
    std::string text = sound;
    for (uint32_t damage = 0; damage <= seed % 5; ++damage) {
      const size_t at = random() % (text.size() + 1);
      switch (random() % 3) {
        case 0:
          text.erase(at, random() % 8);
          break;
        case 1:
          text.insert(at, 1, static_cast<char>(random()));
          break;
        case 2:
          text.insert(at, 1, "\n :,\t"[random() % 5]);
          break;
      }
    }
    const Result result = ReadAll(text);
    if (result.status.ok()) continue;
    EXPECT_TRUE(absl::StartsWith(result.status.message(), "index:"))
        << "seed " << seed << ": " << result.status;
  }
}

// Stanzas without end, made as they are read.
class GeneratedStanzas : public std::streambuf {
 public:
  explicit GeneratedStanzas(int64_t count) : count_(count) {}

 protected:
  int_type underflow() override {
    if (made_ == count_) return traits_type::eof();
    stanza_.clear();  // keeps its memory: a sanitizer would hold on to the old
    absl::StrAppend(&stanza_, "Package: p", made_++, description_);
    setg(stanza_.data(), stanza_.data(), stanza_.data() + stanza_.size());
    return traits_type::to_int_type(stanza_[0]);
  }

 private:
  const int64_t count_;
  int64_t made_ = 0;
  const std::string description_ =
      absl::StrCat("\nDescription: ", std::string(900, 'x'), "\n\n");
  std::string stanza_;
};

TEST(ControlFileTest, FileOfAnySizeIsReadInConstantMemory) {
  constexpr int64_t kStanzas = 70'000;  // 64 MB
  GeneratedStanzas generated(kStanzas);
  std::istream input(&generated);
  ControlFileReader reader(input, "index");
  const int64_t before = ResidentBytes();
  for (int64_t i = 0; i < kStanzas; ++i) {
    const absl::StatusOr<const Stanza*> stanza = reader.Next();
    ASSERT_TRUE(stanza.ok()) << stanza.status();
    ASSERT_NE(*stanza, nullptr);
    ASSERT_EQ((*stanza)->Find("Package")->value, absl::StrCat("p", i));
    ASSERT_EQ((*stanza)->line(), 3 * i + 1);
  }
  EXPECT_LT(ResidentBytes() - before, int64_t{16} << 20);
}

}  // namespace
}  // namespace bibop::pkgraph
