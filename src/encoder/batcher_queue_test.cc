#include "encoder/batcher_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace hearth::encoder {
namespace {

using Item = BatchQueue::Item;

std::vector<std::uint32_t> slots(const std::vector<Item>& items) {
    std::vector<std::uint32_t> result;
    for (const Item item : items) result.push_back(item.slot);
    return result;
}

std::size_t tokens(const std::vector<Item>& items) {
    std::size_t sum = 0;
    for (const Item item : items) sum += item.tokens;
    return sum;
}

TEST(BatchQueue, TakesEverythingWhenItFits) {
    BatchQueue queue;
    for (std::uint32_t i = 0; i < 5; ++i) queue.push({10 * (i + 1), i});
    std::vector<Item> batch;
    queue.take(4096, 1, batch);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(queue.tokens(), 0U);
}

TEST(BatchQueue, LeadsWithTheOldestAndFillsWithItsLikes) {
    BatchQueue queue;
    queue.push({100, 0});
    queue.push({10, 1});
    queue.push({98, 2});
    queue.push({500, 3});
    queue.push({101, 4});
    std::vector<Item> batch;
    queue.take(300, 1, batch);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{0, 2, 4}));
    queue.take(300, 1, batch);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{1}));
    queue.take(300, 1, batch);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{3}));
}

TEST(BatchQueue, FillsTheBudgetExactlyAndNeverExceedsIt) {
    BatchQueue queue;
    queue.push({50, 0});
    queue.push({50, 1});
    queue.push({1, 2});
    std::vector<Item> batch;
    queue.take(100, 1, batch);
    EXPECT_EQ(tokens(batch), 100U);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{0, 1}));
}

TEST(BatchQueue, SendsASingleTextOverTheBudgetAlone) {
    BatchQueue queue;
    queue.push({9000, 0});
    queue.push({9000, 1});
    queue.push({3, 2});
    std::vector<Item> batch;
    queue.take(4096, 1, batch);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{0}));
}

TEST(BatchQueue, DividesACallOverTheIdleSessions) {
    BatchQueue queue;
    for (std::uint32_t i = 0; i < 10; ++i) queue.push({20, i});
    std::vector<Item> batch;
    queue.take(4096, 2, batch);
    EXPECT_EQ(batch.size(), 5U);
    queue.take(4096, 1, batch);
    EXPECT_EQ(batch.size(), 5U);
}

TEST(BatchQueue, DropsTheDeadOfTheWholeWindowBeforeABatch) {
    BatchQueue queue;
    for (std::uint32_t i = 0; i < 2000; ++i) queue.push({1, i});
    std::vector<Item> dropped;
    queue.drop([](Item item) { return item.slot < 1500; }, dropped);
    EXPECT_EQ(dropped.size(), 1500U);
    EXPECT_EQ(queue.texts(), 500U);
    std::vector<Item> batch;
    queue.take(1, 1, batch);
    EXPECT_EQ(slots(batch), (std::vector<std::uint32_t>{1500}));
}

// A long text under a steady stream of short ones leaves no later than its place in the queue says.
TEST(BatchQueue, NeverStarvesALongText) {
    BatchQueue queue;
    std::vector<Item> batch;
    std::uint32_t slot = 1;
    for (std::uint32_t i = 0; i < 40; ++i) queue.push({8, slot++});
    queue.push({4000, 0});
    for (int step = 0; step < 41; ++step) {
        for (std::uint32_t i = 0; i < 40; ++i) queue.push({8, slot++});
        queue.take(64, 1, batch);
        if (slots(batch) == std::vector<std::uint32_t>{0}) return;
    }
    FAIL() << "the long text is still queued";
}

TEST(BatchQueue, KeepsTheOrderOfWhatItLeavesAndLosesNothing) {
    std::mt19937 random(20240607);
    BatchQueue queue;
    std::map<std::uint32_t, std::uint32_t> waiting;
    std::vector<Item> batch;
    std::uint32_t next = 0;
    for (int step = 0; step < 2000; ++step) {
        for (std::uint32_t i = random() % 8; i > 0; --i) {
            const std::uint32_t length = 1 + static_cast<std::uint32_t>(random() % 512);
            waiting[next] = length;
            queue.push({length, next++});
        }
        queue.take(1024, 1 + random() % 3, batch);
        if (waiting.empty()) continue;
        ASSERT_FALSE(batch.empty());
        EXPECT_EQ(batch.front().slot, waiting.begin()->first) << "step " << step;
        if (batch.size() > 1) EXPECT_LE(tokens(batch), 1024U);
        for (const Item item : batch) ASSERT_EQ(waiting.erase(item.slot), 1U);
    }
    EXPECT_EQ(queue.texts(), waiting.size());
}

}  // namespace
}  // namespace hearth::encoder
