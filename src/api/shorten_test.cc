#include "api/shorten.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;

std::string_view role_of(char letter) {
    switch (letter) {
        case 's': return "system";
        case 't': return "tool";
        case 'a': return "assistant";
        default: return "user";
    }
}

GenerateRequest conversation(std::string_view roles) {
    GenerateRequest request;
    json::array messages;
    for (std::size_t i = 0; i < roles.size(); ++i) {
        messages.push_back({{"role", role_of(roles[i])}, {"content", i}});
    }
    request.body["messages"] = std::move(messages);
    return request;
}
std::string left(const GenerateRequest& request) {
    std::string out;
    for (const json::value& message : request.body.at("messages").as_array()) {
        out += std::to_string(message.at("content").to_number<int>());
    }
    return out;
}

TEST(Shorten, LeavesOutTheOldestMessagesInProportion) {
    auto request = conversation("suuuuu");
    EXPECT_TRUE(drop_oldest_messages(request, 200, 100));
    EXPECT_EQ(left(request), "0345");  // half of four
    request = conversation("suuuuu");
    EXPECT_TRUE(drop_oldest_messages(request, 101, 100));
    EXPECT_EQ(left(request), "02345");  // one at least
    request = conversation("uusuuu");
    EXPECT_TRUE(drop_oldest_messages(request, 1'000'000'000, 0));
    EXPECT_EQ(left(request), "25");  // the system's and the last remain
}

TEST(Shorten, LeavesNoResultOfACallThatIsLeftOut) {
    auto request = conversation("uttuuuuu");
    EXPECT_TRUE(drop_oldest_messages(request, 101, 100));
    EXPECT_EQ(left(request), "34567");
}

TEST(Shorten, LeavesNothingOutWhereThereIsNothing) {
    for (const char* roles : {"", "u", "s", "su", "sss"}) {
        auto request = conversation(roles);
        EXPECT_FALSE(drop_oldest_messages(request, 200, 100)) << roles;
    }
    auto request = conversation("uuuu");
    EXPECT_FALSE(drop_oldest_messages(request, 100, 100));
    EXPECT_FALSE(drop_oldest_messages(request, 0, 0));
    request.body["messages"] = 7;
    EXPECT_FALSE(drop_oldest_messages(request, 200, 100));
    request.body.clear();
    EXPECT_FALSE(drop_oldest_messages(request, 200, 100));
}

TEST(Shorten, KeepsTheLastTurnWithItsCallAndAllItsResults) {
    auto request = conversation("suatuatt");
    EXPECT_TRUE(drop_oldest_messages(request, 1'000'000'000, 0));
    EXPECT_EQ(left(request), "0567");
    EXPECT_FALSE(drop_oldest_messages(request, 200, 100));
    request = conversation("uutt");  // results of a call that nobody made
    EXPECT_TRUE(drop_oldest_messages(request, 1'000'000'000, 0));
    EXPECT_EQ(left(request), "3");
}

}  // namespace
}  // namespace hearth::api
