#include "models/gguf.h"

#include <gtest/gtest.h>

#include "models/gguf_writer.h"
#include "models/test_folder.h"

namespace hearth::models {
namespace {

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4K = 12;

Result<GgufHeader> parse_header(const std::string& file) {
    return parse_gguf_header(std::as_bytes(std::span(file)), file.size());
}

std::string header_refusal(const std::string& file) {
    const auto parsed = parse_header(file);
    return parsed ? "accepted" : parsed.error().message;
}

GgufWriter small_model() {
    GgufWriter writer;
    writer.text("general.architecture", "qwen2")
        .number("general.file_type", GgufType::U32, std::uint32_t{15})
        .number("qwen2.context_length", GgufType::U32, std::uint32_t{32768})
        .number("qwen2.rope.freq_base", GgufType::F32, 1e6F)
        .number("tokenizer.ggml.add_bos_token", GgufType::Bool, std::uint8_t{0})
        .texts("tokenizer.ggml.tokens", {"a", "b", "<|fim_prefix|>"})
        .tensor("token_embd.weight", kQ4K, {256, 3})
        .tensor("output_norm.weight", kF32, {256});
    return writer;
}

TEST(Gguf, ReadsKeysAndTensors) {
    const auto header = parse_header(small_model().file());
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->version, 3U);
    EXPECT_EQ(header->text("general.architecture"), "qwen2");
    EXPECT_EQ(header->number("qwen2.context_length"), 32768U);
    EXPECT_EQ(std::get<double>(*header->find("qwen2.rope.freq_base")), 1e6);
    EXPECT_FALSE(std::get<bool>(*header->find("tokenizer.ggml.add_bos_token")));
    EXPECT_EQ(std::get<GgufList>(*header->find("tokenizer.ggml.tokens")).count, 3U);
    ASSERT_EQ(header->tensors.size(), 2U);
    EXPECT_EQ(header->tensors[0].bytes, 3U * 144);
    EXPECT_EQ(header->tensors[1].bytes, 1024U);
    EXPECT_EQ(header->parameters(), 4U * 256);
    EXPECT_EQ(gguf_file_type(15), "Q4_K_M");
    EXPECT_EQ(header->data_offset % 32, 0U);
}

TEST(Gguf, GivesTheTextsOfAListUntilToldToStop) {
    const std::string file = small_model().file();
    const auto header = parse_header(file);
    ASSERT_TRUE(header);
    const auto front = std::as_bytes(std::span(file));
    const auto& list = std::get<GgufList>(*header->find("tokenizer.ggml.tokens"));
    std::vector<std::string> texts;
    ASSERT_TRUE(visit_gguf_texts(front, list, [&](std::string_view text) {
        texts.emplace_back(text);
        return text != "b";
    }));
    EXPECT_EQ(texts, (std::vector<std::string>{"a", "b"}));
    const auto all = [](std::string_view) { return true; };
    EXPECT_TRUE(visit_gguf_texts(front, {.type = GgufType::U8, .count = 9, .offset = 1}, all));
    EXPECT_FALSE(visit_gguf_texts(front.first(list.offset + 3), list, all));
    EXPECT_FALSE(visit_gguf_texts(front.first(8), list, all));
}

TEST(Gguf, NamesThePrecision) {
    EXPECT_EQ(gguf_precision(*parse_header(small_model().file())), "Q4_K_M");
    EXPECT_EQ(gguf_precision(*parse_header(
                  GgufWriter().tensor("a", kF32, {8}).tensor("b", kQ4K, {256}).file())),
              "Q4_K");
    EXPECT_EQ(gguf_precision(*parse_header(GgufWriter().file())), "");
}

TEST(Gguf, AbsentKeysAndOtherTypesAreEmpty) {
    const auto header = parse_header(small_model().file());
    ASSERT_TRUE(header);
    EXPECT_EQ(header->find("general.name"), nullptr);
    EXPECT_EQ(header->text("general.file_type"), "");
    EXPECT_EQ(header->number("general.architecture"), std::nullopt);
    EXPECT_EQ(gguf_tensor_type(4), nullptr);
    EXPECT_EQ(gguf_tensor_type(1000), nullptr);
    EXPECT_EQ(gguf_file_type(1024), "");
}

TEST(Gguf, EveryTruncationIsRefused) {
    const std::string file = small_model().file();
    for (std::size_t length = 0; length < file.size() - 32; ++length) {
        EXPECT_NE(header_refusal(file.substr(0, length)), "accepted") << length;
    }
}

TEST(Gguf, RefusesWhatIsNoGguf) {
    EXPECT_EQ(header_refusal("GGML1234567890123456"), "it does not begin with \"GGUF\"");
    EXPECT_EQ(header_refusal(GgufWriter().header(1)), "it is of version 1; 2 and 3 are read");
    EXPECT_EQ(header_refusal(GgufWriter().header(3U << 24)),
              "it is a big-endian file; little-endian ones are read");
    EXPECT_EQ(header_refusal(GgufWriter().header(2)), "accepted");
}

TEST(Gguf, RefusesCountsAndLengthsBeyondTheFile) {
    std::string file = GgufWriter().header();
    file[23] = 0x7F;  // the number of keys
    EXPECT_TRUE(header_refusal(file).starts_with("it claims 0 tensors and "))
        << header_refusal(file);
    const std::string huge = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F";
    EXPECT_EQ(header_refusal(GgufWriter().raw("a", 8, huge).file()),
              "key \"a\": a text claims 9223372036854775807 bytes; at most 16777216 are read");
    const std::string list = std::string("\x0A\0\0\0", 4) + huge;
    EXPECT_EQ(header_refusal(GgufWriter().raw("a", 9, list).file()),
              "key \"a\": its header ends inside a list");
    EXPECT_EQ(header_refusal(GgufWriter().raw("a", 77, "").file()),
              "key \"a\": it is of the unknown type 77");
}

TEST(Gguf, ListsInListsEndSomewhere) {
    const std::string one("\x01\0\0\0\0\0\0\0", 8);
    const std::string list_of(std::string("\x09\0\0\0", 4) + one);
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += list_of;
    EXPECT_EQ(header_refusal(GgufWriter().raw("a", 9, deep).file()),
              "key \"a\": it has a list of an unknown type");
    const std::string bytes = list_of + std::string("\0\0\0\0", 4) + one + "x";
    EXPECT_EQ(header_refusal(GgufWriter().raw("a", 9, bytes).file()), "accepted");
}

TEST(Gguf, RefusesTensorsThatDoNotFit) {
    const auto with = [](std::uint32_t type, std::vector<std::uint64_t> shape,
                         std::uint64_t shift = 0) {
        return header_refusal(GgufWriter().tensor("t", type, std::move(shape), shift).header());
    };
    EXPECT_EQ(with(kQ4K, {100}), "tensor \"t\": its rows of 100 do not fill blocks of 256");
    EXPECT_EQ(with(99, {1}), "tensor \"t\": it is of the unknown type 99");
    EXPECT_EQ(with(kF32, {}), "tensor \"t\": it has 0 dimensions; 1 to 4 are read");
    EXPECT_EQ(with(kF32, {1, 1, 1, 1, 1}), "tensor \"t\": it has 5 dimensions; 1 to 4 are read");
    EXPECT_EQ(with(kF32, {1ULL << 40, 1ULL << 40}), "tensor \"t\": it has an absurd shape");
    EXPECT_EQ(with(kF32, {0}), "tensor \"t\": it has an absurd shape");
    EXPECT_EQ(with(kF32, {8}, 32), "tensor \"t\" stands at 32 where 0 is its place");
    EXPECT_TRUE(with(kF32, {8}).starts_with("its tensors need ")) << with(kF32, {8});
}

TEST(Gguf, RefusesNamesThatComeTwiceAndAlignmentsThatAreNone) {
    EXPECT_EQ(header_refusal(GgufWriter().text("a", "1").text("a", "2").file()),
              "key \"a\" comes twice");
    EXPECT_EQ(header_refusal(GgufWriter().tensor("t", kF32, {1}).tensor("t", kF32, {1}).file()),
              "tensor \"t\" comes twice");
    for (const std::uint32_t alignment : {0U, 3U, 1U << 31}) {
        EXPECT_EQ(header_refusal(GgufWriter()
                                     .number("general.alignment", GgufType::U32, alignment)
                                     .tensor("t", kF32, {1})
                                     .file()),
                  "general.alignment is not a power of two");
    }
}

TEST(Gguf, ReadsAFileAndNamesItInErrors) {
    const TestFolder folder;
    folder.write("good.gguf", small_model().file()).write("bad.gguf", "GG");
    EXPECT_TRUE(read_gguf_header(folder.path() / "good.gguf"));
    EXPECT_EQ(read_gguf_header(folder.path() / "bad.gguf").error().message,
              "bad.gguf: its header ends in the middle of a number");
    EXPECT_EQ(read_gguf_header(folder.path() / "none.gguf").error().code, Code::NotFound);
}

}  // namespace
}  // namespace hearth::models
