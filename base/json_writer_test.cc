#include "bibop/base/json_writer.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace bibop {
namespace {

TEST(JsonWriterTest, SeparatesValuesAtEachDepth) {
  JsonWriter json;
  json.BeginObject().Key("a").BeginArray().EndArray();
  json.Key("b").BeginArray().Integer(1).BeginObject().EndObject().Bool(true);
  json.EndArray().Key("c").String("d").EndObject();
  EXPECT_EQ(json.text(), R"({"a": [], "b": [1, {}, true], "c": "d"})");
}

TEST(JsonWriterTest, EscapesWhatMayNotStandInAString) {
  JsonWriter json;
  json.String("say \"a\\b\"\n\x1f in 5 \u00b5s");
  EXPECT_EQ(json.text(), "\"say \\\"a\\\\b\\\"\\u000a\\u001f in 5 \u00b5s\"");
}

TEST(JsonWriterTest, WhatIsNotUtf8IsReplaced) {
  JsonWriter json;
  json.BeginArray();
  json.String("caf\xe9 \u00e9 \u20ac \U0001f600");
  json.String("cut \xe2\x82");
  json.String("surrogate \xed\xa0\x80, overlong \xc0\xaf").EndArray();
  EXPECT_EQ(json.text(),
            "[\"caf\uFFFD \u00e9 \u20ac \U0001f600\", \"cut \uFFFD\uFFFD\", "
            "\"surrogate \uFFFD\uFFFD\uFFFD, overlong \uFFFD\uFFFD\"]");
}

TEST(JsonWriterTest, NumbersKeepTheirValue) {
  JsonWriter json;
  json.BeginArray().Number(0.1).Number(1e300).Number(-3);
  json.Integer(std::numeric_limits<int64_t>::min()).EndArray();
  EXPECT_EQ(json.text(), "[0.1, 1e+300, -3, -9223372036854775808]");
}

TEST(JsonWriterTest, WhatIsNoNumberIsNull) {
  JsonWriter json;
  json.BeginArray().Number(std::numeric_limits<double>::infinity());
  json.Number(std::numeric_limits<double>::quiet_NaN()).EndArray();
  EXPECT_EQ(json.text(), "[null, null]");
}

}  // namespace
}  // namespace bibop
