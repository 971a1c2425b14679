#include "testing/gguf_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

namespace hearth::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> rows_of(const WeightTensor& tensor) {
    std::vector<std::byte> bytes(tensor.rows() * tensor.row_bytes());
    RandomRows(tensor).fill(bytes);
    return bytes;
}

std::vector<float> floats_of(const WeightTensor& tensor) {
    const std::vector<std::byte> bytes = rows_of(tensor);
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

TEST(RandomWeights, HaveTheirMeanAndDeviation) {
    const auto values = floats_of({.name = "a", .shape = {1000, 10}, .deviation = 2, .mean = 1});
    double sum = 0;
    double squares = 0;
    for (const float value : values) {
        sum += value;
        squares += (value - 1) * (value - 1);
    }
    const double count = static_cast<double>(values.size());
    EXPECT_NEAR(sum / count, 1, 0.1);
    EXPECT_NEAR(std::sqrt(squares / count), 2, 0.1);
}

TEST(RandomWeights, DependOnTheNameAlone) {
    const WeightTensor tensor{
        .name = "a", .type = WeightType::Q8_0, .shape = {64, 8}, .deviation = 1};
    WeightTensor other = tensor;
    other.name = "b";
    EXPECT_EQ(rows_of(tensor), rows_of(tensor));
    EXPECT_NE(rows_of(tensor), rows_of(other));
}

TEST(RandomWeights, AreZeroOutsideTheirBoundsAndInRowsWithSetValues) {
    const auto values = floats_of({.name = "a",
                                   .shape = {3, 4},
                                   .deviation = 1,
                                   .first_column = 1,
                                   .first_row = 1,
                                   .end_row = 3,
                                   .set = {{2, 0, 5}, {2, 2, 6}, {3, 1, 7}}});
    const std::vector<float> fixed = {0, 0, 0, 0, values[4], values[5], 5, 0, 6, 0, 7, 0};
    EXPECT_EQ(values, fixed);
    EXPECT_NE(values[4], 0);
}

TEST(RandomWeights, SetValuesAreQuantisedByTheirBlock) {
    const auto bytes = rows_of({.name = "a",
                                .type = WeightType::Q8_0,
                                .shape = {64},
                                .set = {{0, 1, 127}, {0, 2, -64}, {0, 33, 254}}});
    EXPECT_EQ(half_of(1), 0x3C00);
    EXPECT_EQ(bytes[0], std::byte{0x00});
    EXPECT_EQ(bytes[1], std::byte{0x3C});
    EXPECT_EQ(static_cast<std::int8_t>(bytes[2 + 1]), 127);
    EXPECT_EQ(static_cast<std::int8_t>(bytes[2 + 2]), -64);
    EXPECT_EQ(bytes[35], std::byte{0x40});
}

TEST(RandomWeights, HalvesAreRoundedToNearest) {
    EXPECT_EQ(half_of(0), 0);
    EXPECT_EQ(half_of(-2), 0xC000);
    EXPECT_EQ(half_of(65504), 0x7BFF);
    EXPECT_EQ(half_of(0x1p-24F), 1);         // the smallest there is
    EXPECT_EQ(half_of(0x1.ff8p-15F), 1023);  // the largest subnormal, and one above
    EXPECT_EQ(half_of(0x1p-14F), 1024);
    EXPECT_EQ(half_of(1.0009F), 0x3C01);
}

class GgufFiles : public ::testing::Test {
  protected:
    GgufFiles() {
        std::string name = fs::temp_directory_path() / "gguf-XXXXXX";
        folder_ = ::mkdtemp(name.data());
    }
    ~GgufFiles() override { fs::remove_all(folder_); }

    std::string written(const GgufFile& file) const {
        EXPECT_TRUE(file.write(folder_ / "a.gguf"));
        std::ifstream in(folder_ / "a.gguf", std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    }

    fs::path folder_;
};

GgufFile small_file() {
    GgufFile file;
    file.text("general.architecture", "test");
    file.number("number", 7);
    file.real("real", 0.5F);
    file.flag("flag", true);
    file.reals("reals", {1, 2, 3});
    file.texts("texts", {"a", "", "ccc"});
    file.tensor({.name = "one", .shape = {3}, .mean = 1});
    file.tensor({.name = "two", .type = WeightType::F16, .shape = {5, 2}, .deviation = 1});
    return file;
}

TEST_F(GgufFiles, AreReadBackAsTheyWereWritten) {
    const std::string bytes = written(small_file());
    const auto header = models::read_gguf_header(folder_ / "a.gguf");
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->number("number"), 7U);
    ASSERT_EQ(header->tensors.size(), 2U);
    EXPECT_EQ(header->tensors[1].elements, 10U);
    EXPECT_EQ(bytes.size(), header->data_offset + 64);
}

TEST_F(GgufFiles, KeysAreTakenOverByteByByte) {
    const std::string bytes = written(small_file());
    const auto entries = split_gguf_entries(bytes);
    ASSERT_TRUE(entries) << entries.error().message;
    ASSERT_EQ(entries->size(), 6U);
    const auto texts = split_gguf_texts(entries->back().value);
    ASSERT_TRUE(texts);
    EXPECT_EQ(*texts, (std::vector<std::string_view>{"a", "", "ccc"}));
    EXPECT_FALSE(split_gguf_texts(entries->front().value));
    GgufFile copy;
    for (const GgufEntry& entry : *entries) copy.entry(entry);
    copy.tensor({.name = "one", .shape = {3}, .mean = 1});
    copy.tensor({.name = "two", .type = WeightType::F16, .shape = {5, 2}, .deviation = 1});
    EXPECT_EQ(written(copy), bytes);
}

TEST_F(GgufFiles, CutKeysAreRefused) {
    const std::string bytes = written(small_file());
    const auto entries = split_gguf_entries(bytes);
    ASSERT_TRUE(entries);
    const GgufEntry& last = entries->back();
    const std::size_t end =
        static_cast<std::size_t>(last.value.data() - bytes.data()) + last.value.size();
    for (std::size_t size = 0; size < end; ++size) {
        EXPECT_FALSE(split_gguf_entries(std::string_view(bytes).substr(0, size))) << size;
    }
    EXPECT_TRUE(split_gguf_entries(std::string_view(bytes).substr(0, end)));
}

TEST_F(GgufFiles, LeaveNothingBehindWhenTheyCannotBeWritten) {
    fs::create_directories(folder_ / "a.gguf" / "in the way");
    EXPECT_FALSE(small_file().write(folder_ / "a.gguf"));
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

}  // namespace
}  // namespace hearth::testing
