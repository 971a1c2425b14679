#include "cache/memory.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

namespace hearth::cache {
namespace {

using std::chrono::milliseconds;

constexpr Moment kNow{milliseconds(1'000'000)};

Key key_of(std::size_t number) { return KeyWriter("test").number("n", number).finish(); }

EntryPtr entry_of(std::string payload, milliseconds life = milliseconds(1000),
                  std::chrono::microseconds took = {}) {
    Entry entry;
    entry.payload = std::move(payload);
    entry.created = kNow;
    entry.expires = kNow + life;
    entry.took = took;
    return std::make_shared<const Entry>(std::move(entry));
}

class MemoryTest : public testing::TestWithParam<Algorithm> {};

INSTANTIATE_TEST_SUITE_P(Algorithms, MemoryTest,
                         testing::Values(Algorithm::S3Fifo, Algorithm::WTinyLfu, Algorithm::Lru));

TEST_P(MemoryTest, GivesWhatWasPutIn) {
    Memory memory(1 << 20, GetParam());
    EXPECT_EQ(memory.find(key_of(1), kNow), nullptr);
    const EntryPtr entry = entry_of("one");
    memory.insert(key_of(1), entry);
    EXPECT_EQ(memory.find(key_of(1), kNow), entry);
    EXPECT_EQ(memory.find(key_of(2), kNow), nullptr);
    EXPECT_EQ(memory.stats().entries, 1U);
    EXPECT_EQ(memory.stats().bytes, entry->weight());
    EXPECT_TRUE(memory.erase(key_of(1)));
    EXPECT_FALSE(memory.erase(key_of(1)));
    EXPECT_EQ(memory.stats().bytes, 0U);
}

TEST_P(MemoryTest, AnEmptyAnswerIsAnAnswer) {
    Memory memory(1 << 20, GetParam());
    memory.insert(key_of(1), entry_of(""));
    ASSERT_NE(memory.find(key_of(1), kNow), nullptr);
}

TEST_P(MemoryTest, ExpiresAtItsMomentAndReadingDoesNotRenewIt) {
    Memory memory(1 << 20, GetParam());
    memory.insert(key_of(1), entry_of("one", milliseconds(100)));
    for (int i = 0; i < 100; ++i) {
        EXPECT_NE(memory.find(key_of(1), kNow + milliseconds(i)), nullptr);
    }
    EXPECT_EQ(memory.find(key_of(1), kNow + milliseconds(100)), nullptr);
    EXPECT_EQ(memory.stats().entries, 0U);
}

TEST_P(MemoryTest, ANewAnswerTakesTheOldOnesPlace) {
    Memory memory(1 << 20, GetParam());
    memory.insert(key_of(1), entry_of("one"));
    memory.insert(key_of(1), entry_of("another"));
    EXPECT_EQ(memory.find(key_of(1), kNow)->payload, "another");
    EXPECT_EQ(memory.stats().entries, 1U);
    EXPECT_EQ(memory.stats().bytes, entry_of("another")->weight());
}

TEST_P(MemoryTest, StaysWithinItsBytes) {
    constexpr std::size_t kBytes = 256 << 10;
    Memory memory(kBytes, GetParam());
    std::mt19937 random(1);
    for (std::size_t i = 0; i < 20'000; ++i) {
        const Key key = key_of(random() % 3000);
        if (!memory.find(key, kNow)) {
            memory.insert(key, entry_of(std::string(random() % 4000, 'x')));
        }
        ASSERT_LE(memory.stats().bytes, kBytes);
    }
    EXPECT_GT(memory.stats().evicted, 0U);
    std::size_t bytes = 0;
    std::size_t entries = 0;
    memory.visit([&](const Key&, const Entry& entry) {
        bytes += entry.weight();
        ++entries;
    });
    EXPECT_EQ(memory.stats().bytes, bytes);
    EXPECT_EQ(memory.stats().entries, entries);
}

TEST_P(MemoryTest, OneAtTheBoundFitsOneByteMoreDoesNot) {
    const std::size_t weight = entry_of(std::string(10'000, 'x'))->weight();
    Memory fits(weight, GetParam(), 1);
    fits.insert(key_of(1), entry_of(std::string(10'000, 'x')));
    EXPECT_NE(fits.find(key_of(1), kNow), nullptr);
    Memory refuses(weight - 1, GetParam(), 1);
    refuses.insert(key_of(1), entry_of(std::string(10'000, 'x')));
    EXPECT_EQ(refuses.find(key_of(1), kNow), nullptr);
    EXPECT_EQ(refuses.stats().refused, 1U);
}

TEST_P(MemoryTest, OfNoBytesKeepsNothing) {
    Memory memory(0, GetParam());
    memory.insert(key_of(1), entry_of(""));
    EXPECT_EQ(memory.find(key_of(1), kNow), nullptr);
}

TEST_P(MemoryTest, ErasesWhatIsMeant) {
    Memory memory(1 << 20, GetParam());
    for (std::size_t i = 0; i < 100; ++i) memory.insert(key_of(i), entry_of(std::string(i, 'x')));
    const auto is_long = [](const Key&, const Entry& entry) { return entry.payload.size() >= 40; };
    EXPECT_EQ(memory.erase_if(is_long), 60U);
    EXPECT_EQ(memory.erase_if(is_long), 0U);
    for (std::size_t i = 0; i < 100; ++i) {
        EXPECT_EQ(memory.find(key_of(i), kNow) != nullptr, i < 40) << i;
    }
}

// Threads that put in, read, take out and list at once, for the sanitizers.
TEST_P(MemoryTest, IsOneForAllThreads) {
    Memory memory(64 << 10, GetParam());
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
        threads.emplace_back([&memory, seed] {
            std::mt19937 random(seed);
            for (int i = 0; i < 3'000; ++i) {
                const std::size_t number = random() % 200;
                switch (random() % 4) {
                    case 0: memory.insert(key_of(number), entry_of(std::to_string(number))); break;
                    case 1: memory.erase(key_of(number)); break;
                    default:
                        if (const EntryPtr found = memory.find(key_of(number), kNow)) {
                            EXPECT_EQ(found->payload, std::to_string(number));
                        }
                }
                if (i % 500 == 0) memory.visit([](const Key&, const Entry&) {});
            }
        });
    }
}

// What is asked for again and again stays while things nobody asks for again pass by.
class ScanTest : public testing::TestWithParam<Algorithm> {};

INSTANTIATE_TEST_SUITE_P(Algorithms, ScanTest,
                         testing::Values(Algorithm::S3Fifo, Algorithm::WTinyLfu));

TEST_P(ScanTest, DoesNotDriveOutWhatIsWanted) {
    Memory memory(200 * entry_of(std::string(1000, 'x'))->weight(), GetParam(), 1);
    const auto ask = [&](std::size_t number) {
        const bool found = memory.find(key_of(number), kNow) != nullptr;
        if (!found) memory.insert(key_of(number), entry_of(std::string(1000, 'x')));
        return found;
    };
    for (int round = 0; round < 5; ++round) {
        for (std::size_t i = 0; i < 100; ++i) ask(i);
    }
    for (std::size_t i = 1'000; i < 3'000; ++i) ask(i);
    int found = 0;
    for (std::size_t i = 0; i < 100; ++i) found += ask(i) ? 1 : 0;
    EXPECT_GE(found, 90);
}

// Of answers that are asked for as often, those that took long stay longer.
TEST_P(ScanTest, PrefersWhatSavesMore) {
    Memory memory(100 * entry_of(std::string(1000, 'x'))->weight(), GetParam(), 1);
    std::mt19937 random(1);
    int cheap = 0;
    int dear = 0;
    for (int i = 0; i < 40'000; ++i) {
        const std::size_t number = random() % 200;
        const bool is_dear = number % 2 == 0;
        if (memory.find(key_of(number), kNow)) {
            ++(is_dear ? dear : cheap);
        } else {
            memory.insert(key_of(number),
                          entry_of(std::string(1000, 'x'), milliseconds(1000),
                                   std::chrono::microseconds(is_dear ? 9'000'000 : 1'000)));
        }
    }
    EXPECT_GT(dear, cheap + cheap / 4);
}

}  // namespace
}  // namespace hearth::cache
