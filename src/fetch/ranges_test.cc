#include "fetch/ranges.h"

#include <gtest/gtest.h>

namespace hearth::fetch {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
const models::Digest kDigest = models::Digest::of("a blob");

TEST(PlanParts, LeavesASmallBlobWhole) {
    EXPECT_EQ(plan_parts(64 * kMiB, {}), (std::vector<Part>{{.size = 64 * kMiB}}));
    EXPECT_EQ(plan_parts(1, {}), (std::vector<Part>{{.size = 1}}));
    EXPECT_TRUE(plan_parts(0, {}).empty());
}

TEST(PlanParts, CutsALargerOneAtTheSmallestSize) {
    const auto parts = plan_parts(64 * kMiB + 1, {});
    ASSERT_EQ(parts.size(), 2);
    EXPECT_EQ(parts[1], (Part{.begin = 64 * kMiB, .size = 1}));
}

TEST(PlanParts, MakesSixteenOfAMiddlingBlob) { EXPECT_EQ(plan_parts(4096 * kMiB, {}).size(), 16); }

TEST(PlanParts, MakesMorePartsRatherThanPartsOverOneGibibyte) {
    const auto parts = plan_parts(40 * 1024 * kMiB, {});
    EXPECT_EQ(parts.size(), 40);
    EXPECT_EQ(parts.front().size, 1024 * kMiB);
}

TEST(PlanParts, KeepsToTheNumberAStateMayHold) {
    const PartSizes tiny{.parts = 64, .bytes_min = 1, .bytes_max = 1};
    EXPECT_LE(plan_parts(kBlobBytesMax, tiny).size(), kPartsMax);
}

TEST(ContentRange, IsRead) {
    const auto range = parse_content_range("bytes 10-19/100");
    ASSERT_TRUE(range);
    EXPECT_EQ(range->first, 10);
    EXPECT_EQ(range->last, 19);
    EXPECT_EQ(range->total, 100);
    EXPECT_FALSE(parse_content_range("bytes 10-19/*")->total);
}

TEST(ContentRange, IsRefusedWhenItMakesNoSense) {
    for (const char* value :
         {"", "bytes", "bytes 1-", "bytes 1-0/9", "bytes 0-9/9", "bytes 0-9/10 ", "bytes 0-9/-1",
          "items 0-9/10", "bytes 0-99999999999999999999/1", "bytes */10", "bytes -1-2/3"}) {
        EXPECT_FALSE(parse_content_range(value)) << value;
    }
}

TEST(State, IsReadBack) {
    const std::vector<Part> parts{{.begin = 0, .size = 6, .done = 6},
                                  {.begin = 6, .size = 4, .done = 1}};
    const auto read = parse_state(encode_state(kDigest, parts), kDigest, 10);
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, parts);
    EXPECT_EQ(bytes_done(*read), 7);
}

TEST(State, OfAnotherBlobIsRefused) {
    const std::string state = encode_state(kDigest, {{.size = 10}});
    EXPECT_FALSE(parse_state(state, models::Digest::of("another"), 10));
    EXPECT_FALSE(parse_state(state, kDigest, 11));
    EXPECT_FALSE(parse_state(state, kDigest, 9));
}

TEST(State, ThatDoesNotCoverTheBlobIsRefused) {
    for (const std::vector<Part>& parts : {
             std::vector<Part>{{.begin = 0, .size = 5}, {.begin = 6, .size = 4}},  // a gap
             std::vector<Part>{{.begin = 0, .size = 6}, {.begin = 5, .size = 5}},  // twice
             std::vector<Part>{{.begin = 0, .size = 10, .done = 11}},
             std::vector<Part>{{.begin = 0, .size = 10}, {.begin = 10, .size = 0}},
             std::vector<Part>{},
         }) {
        EXPECT_FALSE(parse_state(encode_state(kDigest, parts), kDigest, 10));
    }
}

TEST(State, OfGarbageIsRefused) {
    for (const char* text : {"", "{", "[]", "{}", R"({"version":1,"parts":[]})", "\xFF\xFE"}) {
        EXPECT_FALSE(parse_state(text, kDigest, 10)) << text;
    }
    std::string later = encode_state(kDigest, {{.size = 10}});
    later.replace(later.find("\"version\":1"), 11, "\"version\":2");
    EXPECT_FALSE(parse_state(later, kDigest, 10));
}

}  // namespace
}  // namespace hearth::fetch
