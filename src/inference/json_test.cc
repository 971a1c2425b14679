#include "inference/json.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <string>

namespace hearth::inference {
namespace {

namespace json = boost::json;

json::value parsed(std::string_view text) {
    boost::system::error_code error;
    json::value value = parse_json(text, error);
    EXPECT_FALSE(error) << error.message();
    return value;
}

boost::system::error_code refused(std::string_view text) {
    boost::system::error_code error;
    EXPECT_TRUE(parse_json(text, error).is_null());
    return error;
}

TEST(ParseJson, EachTextIsReadByItself) {
    for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(refused(R"({"a":[1,{"b")"));
        EXPECT_EQ(parsed(R"({"a":[1,2.5,"x\n"]})"), json::parse(R"({"a":[1,2.5,"x\n"]})"));
        EXPECT_TRUE(refused("1 2"));
        EXPECT_TRUE(refused(""));
        EXPECT_EQ(parsed("7"), 7);
    }
}

TEST(ParseJson, ALongTextIsReadAsAShortOne) {
    const std::string text = R"(["x)" + std::string(1 << 20, 'y') + R"(",1])";
    EXPECT_EQ(parsed(text), json::parse(text));
    EXPECT_TRUE(refused(text + "]"));
}

TEST(ParseMembers, ChecksTheWholeAndBuildsWhatIsAskedFor) {
    constexpr std::array<std::string_view, 2> kNames = {"a", "c"};
    const auto members = [&](std::string_view text) {
        boost::system::error_code error;
        json::value value = parse_members(text, kNames, error);
        EXPECT_EQ(value.is_null(), error.failed()) << text;
        return value;
    };
    EXPECT_EQ(members(R"({"a":1,"b":{"c":2},"c":[{"b":3}],"a":4})"),
              json::parse(R"({"c":[{"b":3}],"a":4})"));
    EXPECT_EQ(members(R"({"b":1})"), json::object());
    EXPECT_TRUE(members(R"({"b":1)").is_null());
    EXPECT_TRUE(members(R"({"b":"\x"})").is_null());
    EXPECT_EQ(members("7"), 7);
    const std::string longer = R"({"a":1,"b":")" + std::string(1 << 17, 'y') + R"("})";
    EXPECT_EQ(members(longer).at("a"), 1);
}

TEST(ParseJson, AByteOrderMarkIsNoJson) {
    const std::string mark = "\xEF\xBB\xBF";
    for (const std::string& text :
         {std::string("{}"), R"(["x)" + std::string(1 << 20, 'y') + R"(",1])"}) {
        boost::system::error_code theirs;
        (void)json::parse(mark + text, theirs);
        EXPECT_EQ(refused(mark + text), theirs);
        EXPECT_TRUE(refused(mark.substr(0, 2) + text));
    }
    EXPECT_TRUE(refused(mark));
    EXPECT_EQ(parsed("\"" + mark + "\"").as_string(), mark);
}

TEST(ParseJson, HasABoundOfDepth) {
    const auto nested = [](std::size_t levels) {
        return std::string(levels, '[') + std::string(levels, ']');
    };
    EXPECT_TRUE(parsed(nested(kJsonDepthMax)).is_array());
    EXPECT_EQ(refused(nested(kJsonDepthMax + 1)), json::error::too_deep);
}

TEST(ParseJson, LeavesNothingInAStorageThatEnds) {
    for (int i = 0; i < 3; ++i) {
        std::array<unsigned char, 256> memory{};
        json::monotonic_resource resource(memory.data(), memory.size());
        boost::system::error_code error;
        const json::value value =
            parse_json(R"({"a":"a text that is long enough"})", error, &resource);
        EXPECT_EQ(value.at("a").as_string().size(), 26U);
        EXPECT_EQ(value.storage().get(), &resource);
    }
    EXPECT_EQ(parsed("[]").storage().get(), json::storage_ptr().get());
}

TEST(JsonWeight, WhatIsEmptyIsNotForNothing) {
    EXPECT_GE(weight_of(json::object()), sizeof(json::object));
    EXPECT_GE(weight_of(json::value(nullptr)), sizeof(json::value));
    const json::object event{{"name", "text"}};
    EXPECT_GE(weight_of(event), weight_of(json::object()) + sizeof(json::value) + 8);
}

}  // namespace
}  // namespace hearth::inference
