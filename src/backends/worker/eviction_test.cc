#include "backends/worker/eviction.h"

#include <gtest/gtest.h>

namespace hearth::worker {
namespace {

using namespace std::chrono_literals;
using Victims = std::vector<std::size_t>;

TEST(Eviction, SumsAndLooksUpBytes) {
    EXPECT_EQ(sum_of({}), 0U);
    EXPECT_EQ(sum_of({{"host", 3}, {"CUDA0", 4}}), 7U);
    EXPECT_EQ(at({{"host", 3}}, "host"), 3U);
    EXPECT_EQ(at({{"host", 3}}, "CUDA0"), 0U);
}

TEST(Eviction, TakesTheLongestUnusedOfEqualModels) {
    const DeviceBytes bytes = {{"host", 10}};
    const Candidate candidates[] = {{.bytes = &bytes, .reload_time = 1s, .idle = 5s},
                                    {.bytes = &bytes, .reload_time = 1s, .idle = 50s},
                                    {.bytes = &bytes, .reload_time = 1s, .idle = 0s}};
    EXPECT_EQ(choose_victims(candidates, {{"host", 1}}), (Victims{1}));
    EXPECT_EQ(choose_victims(candidates, {{"host", 11}}), (Victims{1, 0}));
}

TEST(Eviction, TakesTheOneThatIsQuickToLoadAgain) {
    const DeviceBytes bytes = {{"host", 10}};
    const Candidate candidates[] = {{.bytes = &bytes, .reload_time = 30s, .idle = 5s},
                                    {.bytes = &bytes, .reload_time = 1s, .idle = 5s}};
    EXPECT_EQ(choose_victims(candidates, {{"host", 10}}), (Victims{1}));
}

TEST(Eviction, TakesOneInUseOnlyAfterAllThatAreNot) {
    const DeviceBytes bytes = {{"host", 10}};
    const Candidate candidates[] = {{.bytes = &bytes, .reload_time = 0s},
                                    {.bytes = &bytes, .reload_time = 600s, .idle = 0s}};
    EXPECT_EQ(choose_victims(candidates, {{"host", 10}}), (Victims{1}));
    EXPECT_EQ(choose_victims(candidates, {{"host", 11}}), (Victims{1, 0}));
}

TEST(Eviction, LeavesWhomTheOthersMakeNeedless) {
    const DeviceBytes small = {{"host", 2}};
    const DeviceBytes large = {{"host", 100}};
    const Candidate candidates[] = {{.bytes = &small, .reload_time = 1s, .idle = 10'000s},
                                    {.bytes = &large, .reload_time = 100s, .idle = 1s}};
    EXPECT_EQ(choose_victims(candidates, {{"host", 50}}), (Victims{1}));
    EXPECT_EQ(choose_victims(candidates, {{"host", 2}}), (Victims{0}));
    EXPECT_EQ(choose_victims(candidates, {{"host", 101}}).size(), 2U);
}

TEST(Eviction, AsksOnlyWhoIsOnADeviceThatLacksMemory) {
    const DeviceBytes host = {{"host", 100}};
    const DeviceBytes first = {{"CUDA0", 10}, {"host", 1}};
    const DeviceBytes second = {{"CUDA1", 10}, {"host", 1}};
    const Candidate candidates[] = {{.bytes = &host, .reload_time = 0s, .idle = 1'000s},
                                    {.bytes = &first, .reload_time = 9s, .idle = 0s},
                                    {.bytes = &second, .reload_time = 9s, .idle = 0s}};
    EXPECT_EQ(choose_victims(candidates, {{"CUDA1", 5}}), (Victims{2}));
    EXPECT_EQ(choose_victims(candidates, {{"CUDA0", 5}, {"CUDA1", 5}}).size(), 2U);
    EXPECT_EQ(choose_victims(candidates, {{"CUDA0", 5}, {"host", 50}}).size(), 2U);
}

TEST(Eviction, TakesNobodyWhenAllAreNotEnough) {
    const DeviceBytes bytes = {{"host", 10}};
    const Candidate candidates[] = {{.bytes = &bytes, .idle = 5s}, {.bytes = &bytes}};
    EXPECT_EQ(choose_victims(candidates, {{"host", 20}}).size(), 2U);
    EXPECT_TRUE(choose_victims(candidates, {{"host", 21}}).empty());
    EXPECT_TRUE(choose_victims(candidates, {{"host", 1}, {"CUDA0", 1}}).empty());
    EXPECT_TRUE(choose_victims({}, {{"host", 1}}).empty());
}

TEST(Eviction, TakesNobodyWhenNothingIsMissing) {
    const DeviceBytes bytes = {{"host", 10}};
    const Candidate candidates[] = {{.bytes = &bytes, .idle = 5s}};
    EXPECT_TRUE(choose_victims(candidates, {}).empty());
    EXPECT_TRUE(choose_victims(candidates, {{"host", 0}}).empty());
}

}  // namespace
}  // namespace hearth::worker
