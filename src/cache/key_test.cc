#include "cache/key.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <set>

namespace json = boost::json;

namespace hearth::cache {
namespace {

Key of_json(std::string_view text) {
    return KeyWriter("chat").json("body", json::parse(text).as_object()).finish();
}

TEST(KeyTest, TheSameFieldsGiveTheSameKey) {
    const auto make = [] {
        return KeyWriter("embedding").text("model", "m").text("text", "hello").finish();
    };
    EXPECT_EQ(make(), make());
    EXPECT_EQ(make().hex().size(), 64U);
    // Stored answers outlive the process: raise kSchema when this changes.
    EXPECT_EQ(make().hex(), "b6ad720762fb3d2996b87cbb132e2fe9094c0a8a053f4640b0082d5f2751e865");
}

// Joined by a colon, "a:b" + "c" and "a" + "b:c" would be one.
TEST(KeyTest, PartsCannotRunIntoEachOther) {
    std::set<Key> keys;
    const auto add = [&](std::initializer_list<std::string_view> texts) {
        KeyWriter writer("chat");
        for (const std::string_view text : texts) writer.text("t", text);
        EXPECT_TRUE(keys.insert(writer.finish()).second);
    };
    add({"a:b", "c"});
    add({"a", "b:c"});
    add({"a", "b", "c"});
    add({"abc"});
    add({"", "abc"});
    add({"abc", ""});
    add({std::string_view("abc\0", 4)});
}

TEST(KeyTest, KindsAndNamesCount) {
    std::set<Key> keys{KeyWriter("chat").text("a", "x").finish(),
                       KeyWriter("fim").text("a", "x").finish(),
                       KeyWriter("chat").text("b", "x").finish(),
                       KeyWriter("chat").number("a", 'x').finish(), KeyWriter("chat").finish()};
    EXPECT_EQ(keys.size(), 5U);
}

TEST(KeyTest, LongTextsAreWholeInIt) {
    std::string text(100'000, 'x');
    const Key before = KeyWriter("chat").text("t", text).finish();
    text.back() = 'y';
    EXPECT_NE(KeyWriter("chat").text("t", text).finish(), before);
}

TEST(KeyTest, ParametersHaveNoOrderWhatTheyHoldHas) {
    EXPECT_EQ(of_json(R"({"temperature":0,"seed":1})"), of_json(R"({"seed":1,"temperature":0})"));
    EXPECT_NE(of_json(R"({"schema":{"a":1,"b":2}})"), of_json(R"({"schema":{"b":2,"a":1}})"));
    EXPECT_NE(of_json(R"({"stop":["a","b"]})"), of_json(R"({"stop":["b","a"]})"));
}

TEST(KeyTest, EveryValueCounts) {
    constexpr std::string_view kBodies[] = {R"({})",
                                            R"({"a":null})",
                                            R"({"a":false})",
                                            R"({"a":true})",
                                            R"({"a":0})",
                                            R"({"a":1})",
                                            R"({"a":-1})",
                                            R"({"a":0.5})",
                                            R"({"a":"0"})",
                                            R"({"a":""})",
                                            R"({"a":[]})",
                                            R"({"a":{}})",
                                            R"({"a":[0]})",
                                            R"({"a":[[]]})",
                                            R"({"a":[[],[]]})",
                                            R"({"a":{"b":0}})",
                                            R"({"a":["b",0]})",
                                            R"({"a":9007199254740992})",
                                            R"({"a":9007199254740993})",
                                            R"({"a":18446744073709551615})",
                                            R"({"a":1e300})"};
    std::set<Key> keys;
    for (const std::string_view body : kBodies)
        EXPECT_TRUE(keys.insert(of_json(body)).second) << body;
}

TEST(KeyTest, OneNumberHasOneKey) {
    EXPECT_EQ(of_json(R"({"temperature":0})"), of_json(R"({"temperature":0.0})"));
    EXPECT_EQ(of_json(R"({"temperature":1})"), of_json(R"({"temperature":1e0})"));
}

}  // namespace
}  // namespace hearth::cache
