#include "tokens/tokenizer_spec.h"

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::tokens {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

// Fields are read through these: absent and null are the same, any other type is refused.
const json::value* find_field(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
}

Result<bool> read_bool(const json::object& object, std::string_view name, bool otherwise) {
    const json::value* value = find_field(object, name);
    if (value == nullptr) return otherwise;
    if (const bool* flag = value->if_bool()) return *flag;
    return invalid(format("\"{}\" is not true or false", name));
}

Result<std::string> read_string(const json::object& object, std::string_view name,
                                std::string_view otherwise) {
    const json::value* value = find_field(object, name);
    if (value == nullptr) return std::string(otherwise);
    const json::string* text = value->if_string();
    if (text == nullptr) return invalid(format("\"{}\" is not a string", name));
    if (text->size() > TokenizerSpec::kTokenBytesMax)
        return invalid(format("\"{}\" is too long", name));
    return std::string(*text);
}

Result<const json::object*> read_object(const json::object& object, std::string_view name) {
    const json::value* value = find_field(object, name);
    if (value == nullptr) return invalid(format("\"{}\" is missing", name));
    if (const json::object* found = value->if_object()) return found;
    return invalid(format("\"{}\" is not an object", name));
}

Result<const json::array*> read_array(const json::object& object, std::string_view name) {
    const json::value* value = find_field(object, name);
    if (value == nullptr) return invalid(format("\"{}\" is missing", name));
    if (const json::array* found = value->if_array()) return found;
    return invalid(format("\"{}\" is not a list", name));
}

Result<void> expect_type(const json::object& object, std::string_view part, std::string_view type) {
    TRY(const std::string found, read_string(object, "type", type));
    if (found == type) return {};
    return invalid(format("the {} \"{}\" is not supported, only \"{}\" is", part, found, type));
}

Result<std::int32_t> read_id(const json::value& value, std::string_view token) {
    const std::int64_t* id = value.if_int64();
    if (id != nullptr && *id >= 0 && *id <= TokenizerSpec::kIdMax) {
        return static_cast<std::int32_t>(*id);
    }
    return invalid(
        format("the id of \"{}\" is not a number from 0 to {}", token, TokenizerSpec::kIdMax));
}

// `memory` must outlive the value: nothing in it is freed one by one.
Result<json::value> parse_object(std::string_view text, json::monotonic_resource& memory) {
    json::parse_options options;
    options.max_depth = 16;
    boost::system::error_code error;
    json::value value = json::parse(text, error, &memory, options);
    if (error) return invalid(format("not valid JSON: {}", error.message()));
    if (!value.is_object()) return invalid("not a JSON object");
    return value;
}

Result<NormalizerOptions> read_normalizer(const json::object& root) {
    TRY(const json::object* part, read_object(root, "normalizer"));
    TRY_VOID(expect_type(*part, "normalizer", "BertNormalizer"));
    NormalizerOptions options;
    TRY(options.clean_text, read_bool(*part, "clean_text", true));
    TRY(options.space_ideographs, read_bool(*part, "handle_chinese_chars", true));
    TRY(options.lower_case, read_bool(*part, "lowercase", true));
    TRY(options.strip_accents, read_bool(*part, "strip_accents", options.lower_case));
    return options;
}

Result<void> read_model(const json::object& root, TokenizerSpec& spec) {
    TRY(const json::object* model, read_object(root, "model"));
    TRY_VOID(expect_type(*model, "model", "WordPiece"));
    TRY(spec.unknown, read_string(*model, "unk_token", "[UNK]"));
    TRY(spec.continuation, read_string(*model, "continuing_subword_prefix", "##"));
    if (const json::value* chars = find_field(*model, "max_input_chars_per_word")) {
        const std::int64_t* count = chars->if_int64();
        if (count == nullptr || *count < 1 ||
            *count > static_cast<std::int64_t>(TokenizerSpec::kWordCharsMax)) {
            return invalid(format("\"max_input_chars_per_word\" is not a number from 1 to {}",
                                  TokenizerSpec::kWordCharsMax));
        }
        spec.word_chars_max = static_cast<std::size_t>(*count);
    }
    TRY(const json::object* vocab, read_object(*model, "vocab"));
    spec.vocabulary.reserve(vocab->size());
    for (const auto& [token, value] : *vocab) {
        if (token.size() > TokenizerSpec::kTokenBytesMax) {
            return invalid(format("a token of {} bytes is too long", token.size()));
        }
        TRY(const std::int32_t id, read_id(value, token));
        if (!token.empty()) spec.vocabulary.push_back({std::string(token), id});
    }
    return {};
}

Result<AddedToken> read_added_token(const json::value& value) {
    const json::object* object = value.if_object();
    if (object == nullptr) return invalid("an added token is not an object");
    AddedToken token;
    TRY(token.content, read_string(*object, "content", ""));
    if (token.content.empty()) return invalid("an added token has no content");
    const json::value* id = find_field(*object, "id");
    TRY(token.id, read_id(id != nullptr ? *id : json::value(-1), token.content));
    TRY(token.single_word, read_bool(*object, "single_word", false));
    TRY(token.strip_left, read_bool(*object, "lstrip", false));
    TRY(token.strip_right, read_bool(*object, "rstrip", false));
    TRY(token.normalized, read_bool(*object, "normalized", false));
    return token;
}

Result<void> read_added_tokens(const json::object& root, TokenizerSpec& spec) {
    if (find_field(root, "added_tokens") == nullptr) return {};
    TRY(const json::array* list, read_array(root, "added_tokens"));
    if (list->size() > TokenizerSpec::kAddedMax) {
        return invalid(format("{} added tokens are too many", list->size()));
    }
    for (const json::value& value : *list) {
        TRY(AddedToken token, read_added_token(value));
        spec.added.push_back(std::move(token));
    }
    return {};
}

// One {"SpecialToken": {"id": "[CLS]"}} of a template, whose ids stand in "special_tokens".
Result<void> append_template_token(const json::object& token, const json::object& known,
                                   std::vector<std::int32_t>& ids) {
    TRY(const std::string name, read_string(token, "id", ""));
    const json::object* entry = nullptr;
    if (const json::value* value = find_field(known, name)) entry = value->if_object();
    if (entry == nullptr) return invalid(format("the template's token \"{}\" is not known", name));
    TRY(const json::array* list, read_array(*entry, "ids"));
    if (list->size() > TokenizerSpec::kSpecialMax) return invalid("the template is too long");
    for (const json::value& value : *list) {
        TRY(const std::int32_t id, read_id(value, name));
        ids.push_back(id);
    }
    return {};
}

Result<void> read_template(const json::object& part, TokenizerSpec& spec) {
    TRY(const json::array* single, read_array(part, "single"));
    TRY(const json::object* known, read_object(part, "special_tokens"));
    if (single->size() > TokenizerSpec::kSpecialMax) return invalid("the template is too long");
    std::size_t sequences = 0;
    for (const json::value& value : *single) {
        const json::object* piece = value.if_object();
        if (piece == nullptr) return invalid("the template has a piece that is not an object");
        if (find_field(*piece, "Sequence") != nullptr) {
            ++sequences;
            continue;
        }
        TRY(const json::object* token, read_object(*piece, "SpecialToken"));
        TRY_VOID(append_template_token(*token, *known, sequences == 0 ? spec.before : spec.after));
    }
    if (sequences != 1) return invalid("the template does not hold the text exactly once");
    return {};
}

// ["[CLS]", 101]
Result<std::int32_t> read_pair(const json::object& part, std::string_view name) {
    TRY(const json::array* pair, read_array(part, name));
    if (pair->size() != 2) return invalid(format("\"{}\" is not a token and its id", name));
    return read_id((*pair)[1], name);
}

Result<void> read_post_processor(const json::object& root, TokenizerSpec& spec) {
    TRY(const json::object* part, read_object(root, "post_processor"));
    TRY(const std::string type, read_string(*part, "type", ""));
    if (type == "TemplateProcessing") return read_template(*part, spec);
    if (type != "BertProcessing" && type != "RobertaProcessing") {
        return invalid(format("the post_processor \"{}\" is not supported", type));
    }
    TRY(const std::int32_t cls, read_pair(*part, "cls"));
    TRY(const std::int32_t sep, read_pair(*part, "sep"));
    spec.before = {cls};
    spec.after = {sep};
    return {};
}

// Which ids are taken. An id has one text; only added tokens may name a token of the vocabulary
// again.
class IdSet {
  public:
    bool insert(std::int32_t id) {
        const auto at = static_cast<std::size_t>(id);
        if (at >= taken_.size()) taken_.resize(std::max(at + 1, taken_.size() * 2));
        const bool fresh = !taken_[at];
        taken_[at] = true;
        return fresh;
    }
    bool contains(std::int32_t id) const {
        return static_cast<std::size_t>(id) < taken_.size() && taken_[static_cast<std::size_t>(id)];
    }

  private:
    std::vector<bool> taken_;
};

Result<void> check_added(const TokenizerSpec& spec,
                         const std::unordered_map<std::string_view, std::int32_t>& known,
                         IdSet& ids) {
    std::unordered_set<std::string_view> seen;
    for (const AddedToken& token : spec.added) {
        if (!seen.insert(token.content).second) {
            return invalid(format("the added token \"{}\" comes twice", token.content));
        }
        const std::int32_t in_vocabulary = known.at(token.content);
        if (in_vocabulary == token.id) continue;
        if (in_vocabulary >= 0)
            return invalid(format("the token \"{}\" has two ids", token.content));
        if (!ids.insert(token.id))
            return invalid(format("the id {} belongs to two tokens", token.id));
    }
    return {};
}

Result<void> check_ids(const TokenizerSpec& spec) {
    std::unordered_map<std::string_view, std::int32_t> known{{spec.unknown, -1}};
    for (const AddedToken& token : spec.added) known.emplace(token.content, -1);
    IdSet ids;
    for (const auto& entry : spec.vocabulary) {
        if (!ids.insert(entry.id))
            return invalid(format("the id {} belongs to two tokens", entry.id));
        if (const auto at = known.find(entry.text); at != known.end()) at->second = entry.id;
    }
    if (known.at(spec.unknown) < 0) {
        return invalid(format("the vocabulary has no \"{}\"", spec.unknown));
    }
    TRY_VOID(check_added(spec, known, ids));
    for (const auto* special : {&spec.before, &spec.after}) {
        if (special->empty() || special->size() > TokenizerSpec::kSpecialMax) {
            return invalid("a text would not begin with [CLS] and end with [SEP]");
        }
        for (const std::int32_t id : *special) {
            if (!ids.contains(id)) return invalid(format("the special id {} has no token", id));
        }
    }
    return {};
}

std::optional<std::string_view> next_line(std::string_view& text) {
    if (text.empty()) return std::nullopt;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// A special token's name stands as a string or as {"content": ...}.
Result<std::string> read_token_name(const json::object& config, std::string_view name,
                                    std::string_view otherwise) {
    const json::value* value = find_field(config, name);
    if (value == nullptr || !value->is_object()) return read_string(config, name, otherwise);
    return read_string(value->get_object(), "content", otherwise);
}

Result<void> read_vocabulary_lines(std::string_view vocab,
                                   std::unordered_map<std::string, std::int32_t>& ids) {
    if (!is_utf8(vocab)) return invalid("vocab.txt is not UTF-8");
    std::int32_t id = 0;
    while (const auto line = next_line(vocab)) {
        if (line->size() > TokenizerSpec::kTokenBytesMax) {
            return invalid(format("line {} of vocab.txt is too long", id + 1));
        }
        if (id > TokenizerSpec::kIdMax) return invalid("vocab.txt has too many lines");
        // The last of equal lines counts, as in the reference.
        if (!line->empty()) ids[std::string(*line)] = id;
        ++id;
    }
    return {};
}

Result<void> add_special_tokens(const json::object& config,
                                const std::unordered_map<std::string, std::int32_t>& ids,
                                TokenizerSpec& spec) {
    struct Special {
        std::string_view field, token;
        bool needed;
    };
    constexpr Special kSpecials[] = {{"unk_token", "[UNK]", true},
                                     {"sep_token", "[SEP]", true},
                                     {"pad_token", "[PAD]", false},
                                     {"cls_token", "[CLS]", true},
                                     {"mask_token", "[MASK]", false}};
    for (const Special& special : kSpecials) {
        TRY(const std::string token, read_token_name(config, special.field, special.token));
        const auto at = ids.find(token);
        if (at == ids.end()) {
            if (special.needed) return invalid(format("vocab.txt has no \"{}\"", token));
            continue;
        }
        const auto same = [&](const AddedToken& other) { return other.content == token; };
        if (std::ranges::none_of(spec.added, same)) {
            spec.added.push_back({.content = token, .id = at->second});
        }
        if (special.field == "unk_token") spec.unknown = token;
        if (special.field == "cls_token") spec.before = {at->second};
        if (special.field == "sep_token") spec.after = {at->second};
    }
    return {};
}

// An absent file is not an error here.
Result<std::optional<std::string>> read_file(const fs::path& path) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return std::nullopt;
    const std::uintmax_t size = fs::file_size(path, error);
    if (error) return fail(Code::NotFound, format("{} cannot be read", path.string()));
    if (size > TokenizerSpec::kFileBytesMax) {
        return invalid(
            format("{} is larger than {} MiB", path.string(), TokenizerSpec::kFileBytesMax >> 20));
    }
    std::string text(size, '\0');
    std::ifstream in(path, std::ios::binary);
    in.read(text.data(), static_cast<std::streamsize>(size));
    if (!in) return fail(Code::NotFound, format("{} cannot be read", path.string()));
    return text;
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(std::string_view text) {
    json::monotonic_resource memory;
    TRY(const json::value value, parse_object(text, memory));
    const json::object& root = value.get_object();
    TokenizerSpec spec;
    TRY(spec.normalizer, read_normalizer(root));
    TRY(const json::object* splitter, read_object(root, "pre_tokenizer"));
    TRY_VOID(expect_type(*splitter, "pre_tokenizer", "BertPreTokenizer"));
    TRY_VOID(read_model(root, spec));
    TRY_VOID(read_added_tokens(root, spec));
    TRY_VOID(read_post_processor(root, spec));
    TRY_VOID(check_ids(spec));
    return spec;
}

Result<TokenizerSpec> parse_vocabulary(std::string_view vocab, std::string_view config_json) {
    json::monotonic_resource memory;
    TRY(const json::value value, parse_object(config_json.empty() ? "{}" : config_json, memory));
    const json::object& config = value.get_object();
    TokenizerSpec spec;
    TRY(spec.normalizer.lower_case, read_bool(config, "do_lower_case", true));
    TRY(spec.normalizer.strip_accents,
        read_bool(config, "strip_accents", spec.normalizer.lower_case));
    TRY(spec.normalizer.space_ideographs, read_bool(config, "tokenize_chinese_chars", true));
    std::unordered_map<std::string, std::int32_t> ids;
    TRY_VOID(read_vocabulary_lines(vocab, ids));
    TRY_VOID(add_special_tokens(config, ids, spec));
    for (const auto& [token, id] : ids) spec.vocabulary.push_back({token, id});
    TRY_VOID(check_ids(spec));
    return spec;
}

Result<TokenizerSpec> read_tokenizer_spec(const fs::path& folder) {
    const auto in_file = [](Result<TokenizerSpec> spec, const fs::path& path) {
        if (!spec) spec = fail(std::move(spec).error().within(path.string()));
        return spec;
    };
    const fs::path json_path = folder / "tokenizer.json";
    TRY(const std::optional<std::string> text, read_file(json_path));
    if (text) return in_file(parse_tokenizer_json(*text), json_path);
    const fs::path vocab_path = folder / "vocab.txt";
    TRY(const std::optional<std::string> vocab, read_file(vocab_path));
    if (!vocab) {
        return fail(Code::NotFound,
                    format("{} has neither tokenizer.json nor vocab.txt", folder.string()));
    }
    TRY(const std::optional<std::string> config, read_file(folder / "tokenizer_config.json"));
    return in_file(parse_vocabulary(*vocab, config.value_or("")), vocab_path);
}

}  // namespace hearth::tokens
