#include <regex>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

constexpr std::size_t kFunctionLinesMax = 70;
constexpr std::size_t kFileLinesMax = 499;

enum class Kind { Other, Function, Lambda, CapturingLambda };

struct Brace {
    Kind kind = Kind::Other;
    std::size_t line = 0;
};

// Drops leading template parameter lists and attributes, which may hold "class" or brackets.
std::string without_prefixes(std::string header) {
    static const std::regex prefix(
        R"(^\s*(template\s*<[^{}]*?>\s*(?=[a-zA-Z_\[])|\[\[[^\]]*\]\]))");
    std::smatch match;
    while (std::regex_search(header, match, prefix)) header = match.suffix();
    return header;
}

// What the brace after `header` opens, `header` being the code since the last ; { or }.
Kind classify(const std::string& header) {
    static const std::regex lambda(
        R"((^|[^\w\])\[\s]|return|\S\s)\s*\[([^\[\]]*)\]\s*(<[^{}]*>)?\s*(\([^{}]*\))?\s*(mutable|noexcept|\s)*(->[^;{}]*)?$)");
    static const std::regex type(
        R"(^\s*(export\s+)?(typedef\s+)?(namespace|class|struct|enum|union|extern)\b)");
    static const std::regex control(R"((^|\b)(if|for|while|switch|catch|do|else|try)\b)");
    static const std::regex body(
        R"(\)\s*(const|noexcept|override|final|mutable|&|\s|->[^;{}]*|REQUIRES\([^)]*\)|:[^;{}]*)*$)");
    // The end of a header says what it opens; std::regex is recursive and dislikes long texts.
    constexpr std::size_t kHeaderBytesMax = 2000;
    const std::string text = without_prefixes(
        header.size() > kHeaderBytesMax ? header.substr(header.size() - kHeaderBytesMax) : header);
    std::smatch match;
    if (std::regex_search(text, match, lambda)) {
        const std::string captures = match[2];
        const bool empty = captures.find_first_not_of(" \t\n") == std::string::npos;
        return empty ? Kind::Lambda : Kind::CapturingLambda;
    }
    if (std::regex_search(text, type) || std::regex_search(text, control)) return Kind::Other;
    return std::regex_search(text, body) ? Kind::Function : Kind::Other;
}

// Follows the braces of one file.
class Walker {
  public:
    Walker(const Source& source, std::vector<Finding>& findings)
        : source_(source), findings_(findings) {}

    void run() {
        for (line_ = 0; line_ < source_.code.size(); ++line_) {
            const std::string& code = source_.code[line_];
            if (code.starts_with('#') || in_macro()) continue;
            for (std::size_t i = 0; i < code.size(); ++i) step(code, i);
            header_ += '\n';
        }
    }

  private:
    // A line that continues a preprocessor line.
    bool in_macro() const {
        std::size_t first = line_;
        while (first > 0 && source_.code[first - 1].ends_with('\\')) --first;
        return first != line_ && source_.code[first].starts_with('#');
    }

    void step(const std::string& code, std::size_t i) {
        const char c = code[i];
        if (c == '{') {
            open();
        } else if (c == '}') {
            close();
        } else if (c == ';' && parens_ == 0) {
            header_.clear();
        } else {
            if (c == '(') ++parens_;
            if (c == ')' && parens_ > 0) --parens_;
            header_ += c;
        }
        if (c == 'c') check_coroutine(std::string_view(code).substr(i));
    }

    void open() {
        braces_.push_back({classify(header_), line_});
        parens_stack_.push_back(parens_);
        parens_ = 0;
        header_.clear();
    }

    void close() {
        header_.clear();
        if (braces_.empty()) return;
        const Brace brace = braces_.back();
        braces_.pop_back();
        parens_ = parens_stack_.back();
        parens_stack_.pop_back();
        const std::size_t lines = line_ - brace.line + 1;
        if (brace.kind == Kind::Function && lines > kFunctionLinesMax) {
            findings_.push_back({source_.path, brace.line + 1, "function-length",
                                 "a function of " + std::to_string(lines) + " lines; at most " +
                                     std::to_string(kFunctionLinesMax)});
        }
    }

    void check_coroutine(std::string_view rest) {
        if (!rest.starts_with("co_await") && !rest.starts_with("co_return") &&
            !rest.starts_with("co_yield")) {
            return;
        }
        for (auto brace = braces_.rbegin(); brace != braces_.rend(); ++brace) {
            if (brace->kind == Kind::Other) continue;
            if (brace->kind != Kind::CapturingLambda || brace->line == reported_) return;
            reported_ = brace->line;
            findings_.push_back({source_.path, brace->line + 1, "capturing-coroutine",
                                 "a lambda with captures is a coroutine; write a function"});
            return;
        }
    }

    const Source& source_;
    std::vector<Finding>& findings_;
    std::size_t line_ = 0;
    std::string header_;
    std::size_t parens_ = 0;
    std::vector<std::size_t> parens_stack_;
    std::vector<Brace> braces_;
    std::size_t reported_ = static_cast<std::size_t>(-1);
};

}  // namespace

void check_structure(const Source& source, std::vector<Finding>& findings) {
    if (source.lines.size() > kFileLinesMax) {
        findings.push_back({source.path, 0, "file-length",
                            std::to_string(source.lines.size()) + " lines; at most " +
                                std::to_string(kFileLinesMax)});
    }
    Walker(source, findings).run();
    // An _inl.h is compiled once for each target on purpose.
    if (source.path.ends_with(".h") && !source.path.ends_with("_inl.h") &&
        (source.lines.empty() || source.lines.front() != "#pragma once")) {
        findings.push_back({source.path, 1, "header", "a header begins with #pragma once"});
    }
}

}  // namespace hearth::tidy
