#pragma once

// For tests and measurements only: vocabularies taken from llama.cpp's vocabulary-only files.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "testing/gguf_file.h"

namespace hearth::testing {

// How a token is treated, with the numbers of the format.
enum class TokenKind : std::int32_t { Control = 3, UserDefined = 4 };

// The tokenizer of a file, in which names of unused tokens may be replaced.
class GgufVocabulary {
  public:
    // Errors: NotFound, InvalidArgument, both naming the file.
    static Result<GgufVocabulary> read(const std::filesystem::path& file);
    GgufVocabulary(GgufVocabulary&&) = default;
    GgufVocabulary& operator=(GgufVocabulary&&) = default;

    std::size_t size() const { return tokens_.size(); }
    // Must be there: the vocabularies are known.
    std::uint32_t id(std::string_view token) const;
    // The token that ends an answer.
    void end_with(std::uint32_t id) { end_ = id; }
    // `name` must outlive this.
    void name_token(std::uint32_t id, std::string_view name, TokenKind kind);
    // Adds every key of the tokenizer but the chat template.
    void add_to(GgufFile& file) const;

  private:
    GgufVocabulary() = default;
    Result<void> split();

    // Of the file. The views below point into it; too long a text to move when this does.
    std::string bytes_;
    std::vector<GgufEntry> entries_;
    std::vector<std::string_view> tokens_;
    std::string kinds_;  // the list's value as in the file
    std::optional<std::uint32_t> end_;
};

// A whole file. Errors: NotFound: it is not there, or cannot be read.
Result<std::string> read_file(const std::filesystem::path& file);

}  // namespace hearth::testing
