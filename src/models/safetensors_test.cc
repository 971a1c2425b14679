#include "models/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/format.h"
#include "models/test_folder.h"

namespace hearth::models {
namespace {

Result<SafetensorsHeader> parse_tensors(const std::string& file) {
    return parse_safetensors_header(std::as_bytes(std::span(file)), file.size());
}

std::string tensors_refusal(std::string_view header, std::size_t data_bytes) {
    const auto parsed = parse_tensors(safetensors_bytes(header, data_bytes));
    return parsed ? "accepted" : parsed.error().message;
}

TEST(Safetensors, ReadsNamesTypesShapesAndBytes) {
    const TestFolder folder;
    std::string file = safetensors_bytes(
        R"({"__metadata__":{"format":"pt"},
            "b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]},
            "a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
            "ids":{"dtype":"I64","shape":[1],"data_offsets":[12,20]}}   )",
        20);
    const float values[] = {1.5F, -2.0F};
    std::memcpy(file.data() + file.size() - 16, values, 8);
    folder.write("model.safetensors", file);

    const auto opened = Safetensors::open(folder.path() / "model.safetensors");
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->header().entries.size(), 3U);
    const auto b = (*opened)->find("b");
    ASSERT_TRUE(b);
    EXPECT_EQ(b->type, TensorType::F32);
    EXPECT_EQ(b->shape, (std::vector<std::size_t>{2, 1}));
    ASSERT_EQ(b->bytes.size(), 8U);
    EXPECT_EQ(std::memcmp(b->bytes.data(), values, 8), 0);
    EXPECT_EQ((*opened)->find("a")->type, TensorType::F16);
    EXPECT_EQ((*opened)->find("c").error().code, Code::NotFound);
    EXPECT_EQ((*opened)->find("ids").error().message,
              "tensor \"ids\" is of type I64; F32, F16 and BF16 are read");
}

TEST(Safetensors, RefusesBytesThatAreNoHeader) {
    EXPECT_EQ(parse_tensors("").error().message, "the file is only 0 bytes long");
    EXPECT_EQ(parse_tensors("1234567").error().message, "the file is only 7 bytes long");
    EXPECT_EQ(tensors_refusal("", 0), "its header is not a JSON object");
    EXPECT_EQ(tensors_refusal("[]", 0), "its header is not a JSON object");
    EXPECT_EQ(tensors_refusal("{} {}", 0), "its header is not valid JSON: extra data at byte 3");
    EXPECT_TRUE(tensors_refusal("{\"a\":", 0).starts_with("its header is not valid JSON"));
}

TEST(Safetensors, RefusesALengthBeyondTheFileOrTheLimit) {
    std::string file = safetensors_bytes("{}", 0);
    file[0] = 3;
    EXPECT_EQ(parse_tensors(file).error().message,
              "its header claims 3 bytes, more than the file has");
    std::memset(file.data(), 0xFF, 8);
    EXPECT_EQ(parse_tensors(file).error().message,
              "its header claims 18446744073709551615 bytes; at most 16777216 are read");
}

TEST(Safetensors, AcceptsAHeaderAtTheLimitAndRefusesOneAbove) {
    constexpr std::size_t kMost = 16 << 20;
    EXPECT_EQ(tensors_refusal("{}" + std::string(kMost - 2, ' '), 0), "accepted");
    EXPECT_EQ(tensors_refusal("{}" + std::string(kMost - 1, ' '), 0),
              "its header claims 16777217 bytes; at most 16777216 are read");
}

TEST(Safetensors, AcceptsAsManyTensorsAsAllowedAndRefusesOneMore) {
    std::string header = "{";
    for (int i = 0; i < 65'536; ++i) {
        header += format(R"("{}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},)", i);
    }
    header.back() = '}';
    EXPECT_EQ(tensors_refusal(header, 0), "accepted");
    header.back() = ',';
    header += R"("x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})";
    EXPECT_EQ(tensors_refusal(header, 0), "it names more than 65536 tensors");
}

TEST(Safetensors, RefusesShapesAndOffsetsThatDoNotMatch) {
    const auto one = [](std::string_view shape, std::string_view offsets) {
        return format(R"({{"w":{{"dtype":"F32","shape":{},"data_offsets":{}}}}})", shape, offsets);
    };
    EXPECT_EQ(tensors_refusal(one("[2]", "[0,8]"), 8), "accepted");
    EXPECT_EQ(tensors_refusal(one("[]", "[0,4]"), 4), "accepted");
    EXPECT_EQ(tensors_refusal(one("[2]", "[0,4]"), 4),
              "tensor \"w\" has 4 bytes where its shape needs 8");
    EXPECT_EQ(tensors_refusal(one("[2]", "[8,0]"), 8), "tensor \"w\" ends before it begins");
    EXPECT_EQ(tensors_refusal(one("[2]", "[0,8]"), 7),
              "tensor \"w\" reaches byte 8 of 7: the file is cut short");
    EXPECT_EQ(tensors_refusal(one("[4294967296,4294967296]", "[0,8]"), 8),
              "tensor \"w\" has an absurd shape");
    EXPECT_EQ(tensors_refusal(one("[-1]", "[0,8]"), 8),
              "tensor \"w\" has a negative size or offset");
    EXPECT_EQ(tensors_refusal(one("[1.5]", "[0,8]"), 8),
              "tensor \"w\" has a value of the wrong kind");
    EXPECT_EQ(tensors_refusal(one("2", "[0,8]"), 8), "tensor \"w\" has a value of the wrong kind");
    EXPECT_EQ(tensors_refusal(one("[2]", "[0]"), 8), "tensor \"w\" has no pair of data_offsets");
    EXPECT_EQ(tensors_refusal(one("[2]", "[0,4,8]"), 8),
              "tensor \"w\" has more than two data_offsets");
    EXPECT_EQ(tensors_refusal(one("[1,1,1,1,1,1,1,2]", "[0,8]"), 8), "accepted");
    EXPECT_EQ(tensors_refusal(one("[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8),
              "tensor \"w\" has more than 8 dimensions");
}

TEST(Safetensors, RefusesHolesOverlapsAndBytesBehindTheEnd) {
    const auto two = [](std::string_view first, std::string_view second) {
        return format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":{}}},
                          "b":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                      first, second);
    };
    EXPECT_EQ(tensors_refusal(two("[0,4]", "[4,8]"), 8), "accepted");
    EXPECT_EQ(tensors_refusal(two("[4,8]", "[0,4]"), 8), "accepted");
    EXPECT_EQ(tensors_refusal(two("[0,4]", "[3,7]"), 7), "tensor \"b\" overlaps the one before it");
    EXPECT_EQ(tensors_refusal(two("[0,4]", "[5,9]"), 9), "no tensor covers the bytes 4 to 5");
    EXPECT_EQ(tensors_refusal(two("[0,4]", "[4,8]"), 9),
              "the file has 1 bytes behind its last tensor");
}

TEST(Safetensors, RefusesEntriesOfTheWrongForm) {
    EXPECT_EQ(tensors_refusal(R"({"a":1})", 0), "\"a\" should be an object");
    EXPECT_EQ(tensors_refusal(R"({"a":[]})", 0), "\"a\" has a list where none belongs");
    EXPECT_EQ(tensors_refusal(R"({"a":{}})", 0), "tensor \"a\" has no dtype");
    EXPECT_EQ(tensors_refusal(R"({"a":{"dtype":"F32"}})", 0), "tensor \"a\" has no shape");
    EXPECT_EQ(tensors_refusal(R"({"a":{"dtype":7}})", 0),
              "tensor \"a\" has a value of the wrong kind");
    EXPECT_EQ(tensors_refusal(R"({"a":{"x":{"y":{"z":{}}}}})", 0),
              "tensor \"a\" has an object where a value should stand");
    EXPECT_EQ(tensors_refusal(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},
                          "a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                              0),
              "tensor \"a\" is named twice");
    EXPECT_TRUE(tensors_refusal("{\"a\":" + std::string(100'000, '['), 0).contains("none belongs"));
}

TEST(Safetensors, RefusesFilesThatAreNoFiles) {
    const TestFolder folder;
    EXPECT_EQ(Safetensors::open(folder.path() / "none").error().code, Code::NotFound);
    EXPECT_EQ(Safetensors::open(folder.path()).error().code, Code::InvalidArgument);
    folder.write("empty", "");
    EXPECT_EQ(Safetensors::open(folder.path() / "empty").error().message, "empty is empty");
    folder.write("short", "abc");
    EXPECT_EQ(Safetensors::open(folder.path() / "short").error().message,
              "short: the file is only 3 bytes long");
}

}  // namespace
}  // namespace hearth::models
