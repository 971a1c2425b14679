#include "tidy/source.h"

#include <cctype>
#include <utility>

namespace hearth::tidy {
namespace {

enum class State { Code, LineComment, BlockComment, String, Character, RawString };

// Walks the text once and blanks what is not code, keeping every newline where it is.
class Blanker {
  public:
    explicit Blanker(std::string_view text) : text_(text), out_(text) {}

    std::string run() {
        for (std::size_t i = 0; i < text_.size();) i = step(i);
        return std::move(out_);
    }

  private:
    std::size_t step(std::size_t i) {
        switch (state_) {
            case State::Code: return step_code(i);
            case State::LineComment:
                if (text_[i] == '\n') state_ = State::Code;
                return blank(i, 1);
            case State::BlockComment:
                if (text_.substr(i, 2) != "*/") return blank(i, 1);
                state_ = State::Code;
                return blank(i, 2);
            case State::String: return step_literal(i, '"');
            case State::Character: return step_literal(i, '\'');
            case State::RawString:
                if (text_.substr(i, raw_end_.size()) != raw_end_) return blank(i, 1);
                state_ = State::Code;
                return i + raw_end_.size();
        }
        return i + 1;
    }

    std::size_t step_code(std::size_t i) {
        if (text_.substr(i, 2) == "//") state_ = State::LineComment;
        if (text_.substr(i, 2) == "/*") state_ = State::BlockComment;
        if (state_ != State::Code) return blank(i, 2);
        if (text_.substr(i, 2) == "R\"") {
            const std::size_t open = text_.find('(', i);
            if (open == std::string_view::npos) return i + 1;
            raw_end_ = ")" + std::string(text_.substr(i + 2, open - i - 2)) + "\"";
            state_ = State::RawString;
            return open + 1;
        }
        if (text_[i] == '"') state_ = State::String;
        // An apostrophe after a digit or letter separates digits.
        const bool separates =
            i > 0 && (std::isalnum(static_cast<unsigned char>(text_[i - 1])) != 0);
        if (text_[i] == '\'' && !separates) state_ = State::Character;
        return i + 1;
    }

    std::size_t step_literal(std::size_t i, char quote) {
        if (text_[i] == '\\') return blank(i, 2);
        if (text_[i] == quote || text_[i] == '\n') {
            state_ = State::Code;
            return i + 1;
        }
        return blank(i, 1);
    }

    std::size_t blank(std::size_t i, std::size_t count) {
        for (const std::size_t end = i + count; i < end && i < out_.size(); ++i) {
            if (out_[i] != '\n') out_[i] = ' ';
        }
        return i;
    }

    std::string_view text_;
    std::string out_;
    State state_ = State::Code;
    std::string raw_end_;
};

std::vector<std::string> split_lines(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        lines.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return lines;
}

}  // namespace

Source make_source(std::string path, std::string_view text) {
    Source source{.path = std::move(path), .lines = split_lines(text), .code = {}};
    if (is_cpp(source.path)) source.code = split_lines(Blanker(text).run());
    return source;
}

bool is_cpp(std::string_view path) { return path.ends_with(".cc") || path.ends_with(".h"); }

bool is_test(std::string_view path) {
    for (const std::string_view end : {"_test.cc", "_fixture.cc", "_fixture.h", "/testing.h"}) {
        if (path.ends_with(end)) return true;
    }
    return path.starts_with("tests/") || path.starts_with("src/testing/");
}

}  // namespace hearth::tidy
