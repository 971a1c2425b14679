#include "testing/gguf_vocabulary.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/format.h"

namespace hearth::testing {
namespace {

constexpr std::size_t kListHeadBytes = 12;  // the type and the number of a list's values

}  // namespace

Result<std::string> read_file(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail(Code::NotFound, format("there is no {}", file.string()));
    std::string bytes(std::filesystem::file_size(file), '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!in) return fail(Code::NotFound, format("{} cannot be read", file.string()));
    return bytes;
}

Result<GgufVocabulary> GgufVocabulary::read(const std::filesystem::path& file) {
    GgufVocabulary vocabulary;
    TRY(vocabulary.bytes_, read_file(file));
    if (auto split = vocabulary.split(); !split) {
        return fail(std::move(split).error().within(file.string()));
    }
    return vocabulary;
}

Result<void> GgufVocabulary::split() {
    TRY(entries_, split_gguf_entries(bytes_));
    std::erase_if(entries_, [](const GgufEntry& entry) {
        return !entry.key.starts_with("tokenizer.") || entry.key == "tokenizer.chat_template";
    });
    for (const GgufEntry& entry : entries_) {
        if (entry.key == "tokenizer.ggml.token_type") kinds_ = entry.value;
        if (entry.key != "tokenizer.ggml.tokens") continue;
        TRY(tokens_, split_gguf_texts(entry.value));
    }
    if (tokens_.empty() || kinds_.size() != kListHeadBytes + tokens_.size() * sizeof(TokenKind)) {
        return fail(Code::InvalidArgument, "it has no vocabulary");
    }
    return {};
}

std::uint32_t GgufVocabulary::id(std::string_view token) const {
    const auto found = std::ranges::find(tokens_, token);
    CHECK(found != tokens_.end());
    return static_cast<std::uint32_t>(found - tokens_.begin());
}

void GgufVocabulary::name_token(std::uint32_t id, std::string_view name, TokenKind kind) {
    CHECK(id < tokens_.size());
    tokens_[id] = name;
    std::memcpy(kinds_.data() + kListHeadBytes + id * sizeof(kind), &kind, sizeof(kind));
}

void GgufVocabulary::add_to(GgufFile& file) const {
    for (GgufEntry entry : entries_) {
        if (entry.key == "tokenizer.ggml.tokens") {
            file.texts(entry.key, tokens_);
            continue;
        }
        if (entry.key == "tokenizer.ggml.eos_token_id" && end_) {
            file.number(entry.key, *end_);
            continue;
        }
        if (entry.key == "tokenizer.ggml.token_type") entry.value = kinds_;
        file.entry(entry);
    }
}

}  // namespace hearth::testing
