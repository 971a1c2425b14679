#include "cli/option_values.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace hearth::cli {
namespace {

namespace json = boost::json;

TEST(SetOption, GivesEachItsType) {
    json::object options;
    for (const char* one : {"temperature=0.5", "num_predict=-1", "use_mmap=true", "stop=a=b",
                            "stop=", "seed=7", "seed=8"}) {
        EXPECT_TRUE(set_option(options, one)) << one;
    }
    const json::object expected = {{"temperature", 0.5},
                                   {"num_predict", -1},
                                   {"use_mmap", true},
                                   {"stop", json::array{"a=b", ""}},
                                   {"seed", 8}};
    EXPECT_EQ(options, expected);
}

TEST(SetOption, RefusesWhatIsNotOfItsType) {
    json::object options;
    for (const char* one :
         {"", "temperature", "=1", "temperature=", "temperature=warm", "temperature=nan",
          "temperature=1e999", "seed=1.5", "seed=99999999999999999999", "use_mmap=yes", "heat=1",
          " seed=1", "seed=1 "}) {
        const auto set = set_option(options, one);
        ASSERT_FALSE(set) << one;
        EXPECT_EQ(set.error().code, Code::InvalidArgument) << one;
    }
    EXPECT_TRUE(options.empty());
}

TEST(SetOption, BoundsItsLists) {
    json::object options;
    for (int i = 0; i < 64; ++i) EXPECT_TRUE(set_option(options, "stop=x"));
    EXPECT_FALSE(set_option(options, "stop=x"));
}

TEST(SetOption, RepairsIllFormedText) {
    json::object options;
    ASSERT_TRUE(set_option(options, "stop", "a\xFF"));
    EXPECT_EQ(options.at("stop").at(0), "a\xEF\xBF\xBD");
}

TEST(KeepAliveValue, IsANumberWhereItIsOne) {
    EXPECT_EQ(keep_alive_value("-1"), json::value(-1.0));
    EXPECT_EQ(keep_alive_value("0"), json::value(0.0));
    EXPECT_EQ(keep_alive_value("10m"), json::value("10m"));
    EXPECT_EQ(keep_alive_value(""), json::value(""));
}

TEST(ThinkValue, KnowsItsLevels) {
    EXPECT_EQ(*think_value("true"), json::value(true));
    EXPECT_EQ(*think_value("false"), json::value(false));
    EXPECT_EQ(*think_value("high"), json::value("high"));
    EXPECT_FALSE(think_value("much"));
    EXPECT_FALSE(think_value(""));
}

}  // namespace
}  // namespace hearth::cli
