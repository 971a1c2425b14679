#include "tokens/tokenizer.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>

#include "base/hash.h"
#include "testing/golden_files.h"
#include "tokens/tokenizer_spec.h"
#include "tokens/wordpiece.h"

namespace hearth::tokens {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;
using hearth::testing::kGolden;
using hearth::testing::kModel;

std::string read_text(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    EXPECT_TRUE(in) << path << ": run ./dev setup";
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string decode_hex(std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    }
    return bytes;
}

std::string text_of(const json::object& line) {
    if (const json::value* text = line.if_contains("text")) return std::string(text->as_string());
    if (const json::value* hex = line.if_contains("hex")) return decode_hex(hex->as_string());
    const json::array& repeat = line.at("repeat").as_array();
    std::string text;
    for (std::int64_t i = 0; i < repeat[1].as_int64(); ++i) text += repeat[0].as_string();
    return text;
}

std::vector<std::int32_t> flat(const std::vector<Encoding::Offset>& offsets) {
    std::vector<std::int32_t> numbers;
    for (const auto& [begin, end] : offsets) {
        numbers.push_back(static_cast<std::int32_t>(begin));
        numbers.push_back(static_cast<std::int32_t>(end));
    }
    return numbers;
}

std::string digest(const std::vector<std::int32_t>& numbers) {
    return sha256_hex({reinterpret_cast<const char*>(numbers.data()), numbers.size() * 4});
}

void expect_golden(const json::object& line, const Encoding& encoding) {
    const auto offsets = flat(encoding.offsets);
    if (const json::value* ids = line.if_contains("ids")) {
        EXPECT_EQ(encoding.ids, json::value_to<std::vector<std::int32_t>>(*ids));
        EXPECT_EQ(offsets, json::value_to<std::vector<std::int32_t>>(line.at("offsets")));
        return;
    }
    EXPECT_EQ(encoding.ids.size(), static_cast<std::size_t>(line.at("count").as_int64()));
    EXPECT_EQ(digest(encoding.ids), std::string_view(line.at("ids_sha256").as_string()));
    EXPECT_EQ(digest(offsets), std::string_view(line.at("offsets_sha256").as_string()));
}

Result<std::unique_ptr<WordPiece>> parse(std::string_view tokenizer_json) {
    TRY(TokenizerSpec spec, parse_tokenizer_json(tokenizer_json));
    return WordPiece::make(std::move(spec));
}

std::map<std::string, std::unique_ptr<WordPiece>> open_models(const json::object& changes) {
    std::map<std::string, std::unique_ptr<WordPiece>> models;
    const std::string source = read_text(kModel / "tokenizer.json");
    for (const auto& [name, list] : changes) {
        std::string text = source;
        for (const json::value& change : list.as_array()) {
            const std::string old(change.as_array()[0].as_string());
            const auto at = text.find(old);
            if (at == std::string::npos) continue;
            text.replace(at, old.size(), change.as_array()[1].as_string());
        }
        auto model = parse(text);
        EXPECT_TRUE(model) << name << ": " << model.error().message;
        if (model) models[name] = std::move(*model);
    }
    return models;
}

TEST(Tokenizer, GivesTheIdsAndOffsetsOfTheReference) {
    std::istringstream lines(read_text(kGolden / "tokenizer.jsonl"));
    std::string text;
    ASSERT_TRUE(std::getline(lines, text));
    const auto models = open_models(json::parse(text).at("models").as_object());
    ASSERT_FALSE(models.empty());
    std::size_t count = 0;
    std::vector<std::int32_t> ids;
    while (std::getline(lines, text)) {
        const json::value value = json::parse(text);
        const json::object& line = value.as_object();
        SCOPED_TRACE(json::serialize(line.at("model")) + " " + json::serialize(line.at("name")));
        const WordPiece& model = *models.at(std::string(line.at("model").as_string()));
        const std::string input = text_of(line);
        const Encoding encoding = model.encode_with_offsets(input);
        expect_golden(line, encoding);
        model.encode(input, ids);
        EXPECT_EQ(ids, encoding.ids);
        ++count;
    }
    EXPECT_GT(count, 1000U);
}

// A small model: letters, digits and a few words.
std::string small_json(std::string_view extra = "") {
    return std::string(R"({"normalizer":{"type":"BertNormalizer","lowercase":true},
        "pre_tokenizer":{"type":"BertPreTokenizer"},)") +
           std::string(extra) + R"(
        "post_processor":{"type":"BertProcessing","cls":["[CLS]",1],"sep":["[SEP]",2]},
        "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##",
                 "max_input_chars_per_word":100,
                 "vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"un":3,"##aff":4,"##able":5,"a":6,"!":7}}})";
}

std::string replaced(std::string text, std::string_view old, std::string_view with) {
    const auto at = text.find(old);
    EXPECT_NE(at, std::string::npos) << old;
    return at == std::string::npos ? text : text.replace(at, old.size(), with);
}

TEST(Tokenizer, TakesTheLongestPieceFirst) {
    const auto model = parse(small_json());
    ASSERT_TRUE(model) << model.error().message;
    const Encoding encoding = (*model)->encode_with_offsets("Unaffable a! unx");
    EXPECT_EQ(encoding.ids, (std::vector<std::int32_t>{1, 3, 4, 5, 6, 7, 0, 2}));
    EXPECT_EQ(flat(encoding.offsets),
              (std::vector<std::int32_t>{0, 0, 0, 2, 2, 5, 5, 9, 10, 11, 11, 12, 13, 16, 0, 0}));
    EXPECT_EQ((*model)->vocabulary(), 8U);
    EXPECT_EQ((*model)->cls_id(), 1);
    EXPECT_EQ((*model)->sep_id(), 2);
}

TEST(Tokenizer, IsTheSameFromVocabularyLines) {
    const auto folder = fs::temp_directory_path() / "hearth_tokenizer_test";
    fs::create_directories(folder);
    fs::copy_file(kModel / "vocab.txt", folder / "vocab.txt", fs::copy_options::overwrite_existing);
    fs::copy_file(kModel / "tokenizer_config.json", folder / "tokenizer_config.json",
                  fs::copy_options::overwrite_existing);
    const auto lines = Tokenizer::open(folder);
    fs::remove_all(folder);
    const auto json = Tokenizer::open(kModel);
    ASSERT_TRUE(lines) << lines.error().message;
    ASSERT_TRUE(json) << json.error().message;
    for (const char* text : {"def f(x): return x", "[MASK] naïve 東京 [SEP]", "##ing \xE4\xB8"}) {
        EXPECT_EQ((*lines)->encode_with_offsets(text).ids, (*json)->encode_with_offsets(text).ids);
    }
    EXPECT_EQ((*lines)->vocabulary(), (*json)->vocabulary());
}

TEST(Tokenizer, LowersACasedFolderWhereTheModelAsksForIt) {
    const auto folder = fs::temp_directory_path() / "hearth_tokenizer_lower_test";
    fs::create_directories(folder);
    fs::copy_file(kModel / "vocab.txt", folder / "vocab.txt", fs::copy_options::overwrite_existing);
    std::ofstream(folder / "tokenizer_config.json") << R"({"do_lower_case":false})";
    const auto cased = Tokenizer::open(folder);
    const auto lowered = Tokenizer::open(folder, true);
    fs::remove_all(folder);
    ASSERT_TRUE(cased && lowered);
    const auto upper = [](const Tokenizer& of) { return of.encode_with_offsets("HELLO").ids; };
    const auto lower = [](const Tokenizer& of) { return of.encode_with_offsets("hello").ids; };
    EXPECT_NE(upper(**cased), lower(**cased));
    EXPECT_EQ(upper(**lowered), lower(**lowered));
    EXPECT_EQ(lower(**lowered), lower(**cased));
}

TEST(Tokenizer, ReadsATemplate) {
    const auto model = parse(replaced(
        small_json(),
        R"("post_processor":{"type":"BertProcessing","cls":["[CLS]",1],"sep":["[SEP]",2]})",
        R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]"}},
           {"SpecialToken":{"id":"[CLS]"}},{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"[SEP]"}}],
           "special_tokens":{"[CLS]":{"ids":[1]},"[SEP]":{"ids":[2]}}})"));
    ASSERT_TRUE(model) << model.error().message;
    std::vector<std::int32_t> ids;
    (*model)->encode("a", ids);
    EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 1, 6, 2}));
}

TEST(Tokenizer, CutsAWordAtItsLimitNotBefore) {
    const auto model = parse(replaced(small_json(), ":100", ":9"));
    ASSERT_TRUE(model);
    std::vector<std::int32_t> ids;
    (*model)->encode("unaffable unaffableable", ids);
    EXPECT_EQ(ids, (std::vector<std::int32_t>{1, 3, 4, 5, 0, 2}));
}

TEST(Tokenizer, IsSharedByThreads) {
    const auto model = Tokenizer::open(kModel);
    ASSERT_TRUE(model);
    const std::string text = "naïve façade: std::vector<int> 東京 [MASK]";
    const auto expected = (*model)->encode_with_offsets(text).ids;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            std::vector<std::int32_t> ids;
            for (int n = 0; n < 200; ++n) {
                (*model)->encode(text, ids);
                EXPECT_EQ(ids, expected);
            }
        });
    }
}

struct Refused {
    std::string_view old, with, message;
};

TEST(Tokenizer, RefusesAWrongFileWithOneSentence) {
    const Refused cases[] = {
        {"\"[UNK]\":0,", "", "the vocabulary has no \"[UNK]\""},
        {"\"[CLS]\":1,", "", "the special id 1 has no token"},
        {"\"[SEP]\":2,", "", "the special id 2 has no token"},
        {"\"un\":3", "\"un\":4", "the id 4 belongs to two tokens"},
        {"\"un\":3", "\"un\":-3", "the id of \"un\" is not a number from 0 to 4194303"},
        {"\"un\":3", "\"un\":4194304", "the id of \"un\" is not a number from 0 to 4194303"},
        {"\"un\":3", "\"un\":3.5", "the id of \"un\" is not a number from 0 to 4194303"},
        {"\"un\":3", "\"un\":\"3\"", "the id of \"un\" is not a number from 0 to 4194303"},
        {":100", ":0", "\"max_input_chars_per_word\" is not a number from 1 to 65536"},
        {":100", ":65537", "\"max_input_chars_per_word\" is not a number from 1 to 65536"},
        {"\"BertNormalizer\"", "\"NFKC\"",
         "the normalizer \"NFKC\" is not supported, only \"BertNormalizer\" is"},
        {"\"WordPiece\"", "\"BPE\"", "the model \"BPE\" is not supported, only \"WordPiece\" is"},
        {"\"BertPreTokenizer\"", "7", "\"type\" is not a string"},
        {"\"lowercase\":true", "\"lowercase\":1", "\"lowercase\" is not true or false"},
        {"[\"[CLS]\",1]", "[\"[CLS]\"]", "\"cls\" is not a token and its id"},
        {"\"vocab\":", "\"words\":", "\"vocab\" is missing"},
        {"{\"[UNK]\"", "[{\"[UNK]\"", "not valid JSON: "},
    };
    for (const Refused& refused : cases) {
        SCOPED_TRACE(refused.with);
        const auto model = parse(replaced(small_json(), refused.old, refused.with));
        ASSERT_FALSE(model);
        EXPECT_EQ(model.error().code, Code::InvalidArgument);
        EXPECT_TRUE(model.error().message.starts_with(refused.message)) << model.error().message;
    }
}

TEST(Tokenizer, RefusesWrongAddedTokens) {
    const Refused cases[] = {
        {"", R"("added_tokens":[{"id":9,"content":"[CLS]"}],)", "the token \"[CLS]\" has two ids"},
        {"", R"("added_tokens":[{"id":3,"content":"x"}],)", "the id 3 belongs to two tokens"},
        {"", R"("added_tokens":[{"id":9,"content":""}],)", "an added token has no content"},
        {"", R"("added_tokens":[{"content":"x"}],)", "the id of \"x\" is not a number"},
        {"", R"("added_tokens":[{"id":9,"content":"x"},{"id":9,"content":"x"}],)",
         "the added token \"x\" comes twice"},
        {"", R"("added_tokens":[9],)", "an added token is not an object"},
        {"", R"("added_tokens":{},)", "\"added_tokens\" is not a list"},
        {"", R"("added_tokens":[{"id":9,"content":"\u0301","normalized":true}],)",
         "the added token 9 is empty"},
        {"", R"("added_tokens":[{"id":8,"content":"x","normalized":true},
            {"id":9,"content":"X","normalized":true}],)",
         "the token \"x\" comes twice"},
    };
    for (const Refused& refused : cases) {
        SCOPED_TRACE(refused.with);
        const auto model = parse(small_json(refused.with));
        ASSERT_FALSE(model);
        EXPECT_EQ(model.error().code, Code::InvalidArgument);
        EXPECT_TRUE(model.error().message.starts_with(refused.message)) << model.error().message;
    }
}

TEST(Tokenizer, RefusesEveryTruncationOfItsFile) {
    const std::string text = small_json();
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_FALSE(parse(text.substr(0, size))) << size;
    }
}

TEST(Tokenizer, RefusesDeepNesting) {
    EXPECT_FALSE(parse(std::string(1'000'000, '[')));
    EXPECT_FALSE(parse(small_json("\"x\":" + std::string(40, '[') + std::string(40, ']') + ",")));
}

TEST(Tokenizer, NamesAnAbsentFolder) {
    const auto model = Tokenizer::open("/nonexistent/folder");
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, Code::NotFound);
    EXPECT_EQ(model.error().message,
              "/nonexistent/folder has neither tokenizer.json nor vocab.txt");
}

}  // namespace
}  // namespace hearth::tokens
