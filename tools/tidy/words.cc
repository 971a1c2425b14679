#include <algorithm>
#include <iterator>
#include <regex>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

struct BannedWord {
    const char* rule;
    std::regex pattern;
    bool (*is_allowed)(std::string_view path);
    const char* text;
};

bool is_allowed_nowhere(std::string_view) { return false; }
// In a test, throwing is failing.
bool is_allowed_in_tests(std::string_view path) { return is_test(path); }
// runtime/ owns every task; the helper that runs one awaitable in a test stands in for it.
bool is_allowed_to_spawn(std::string_view path) {
    return path.starts_with("src/runtime/") || path.starts_with("src/testing/");
}

const std::vector<BannedWord>& banned_in_code() {
    static const std::vector<BannedWord> words{
        {"co-spawn", std::regex(R"(\bco_spawn\b)"), is_allowed_to_spawn,
         "co_spawn belongs to runtime/: use a TaskGroup"},
        {"detached", std::regex(R"(\b(asio::)?detached\b)"), is_allowed_nowhere,
         "detached swallows exceptions: use a TaskGroup"},
        {"result-value", std::regex(R"(\)\s*\.value\(\))"), is_allowed_in_tests,
         ".value() throws: test the Result and use *"},
    };
    return words;
}

// Comments that are code: a statement's end, or a brace, with something called or assigned before.
const std::regex& commented_code() {
    static const std::regex pattern(R"(^\s*//\s*[\w:<>.*&\->\[\]]+(\(.*\)|\s*=\s*[^=].*);\s*$)");
    return pattern;
}

// Built from halves, so that this file does not break its own rule.
const std::regex& unfinished_mark() {
    static const std::regex pattern(std::string("\\b(TO") + "DO|FIX" + "ME|XX" + "X)\\b");
    return pattern;
}

// The parameter list that begins at `open`, or "" when it does not end.
std::string parameters(const std::string& text, std::size_t open) {
    int depth = 0;
    for (std::size_t i = open; i < text.size(); ++i) {
        if (text[i] == '(') ++depth;
        if (text[i] == ')' && --depth == 0) return text.substr(open + 1, i - open - 1);
    }
    return "";
}

// A coroutine handed to a task group outlives the caller's frame: everything goes in by value.
void check_tasks(const Source& source, std::vector<Finding>& findings) {
    static const std::regex task(R"([Aa]waitable<[^;{}()]*>\s+([\w:]+_task)\s*\()");
    static const std::regex borrowed(R"([&*]|\bstring_view\b|\bspan<)");
    std::string text;
    for (const std::string& line : source.code) text += line + '\n';
    for (std::sregex_iterator it(text.begin(), text.end(), task), end; it != end; ++it) {
        const auto open = static_cast<std::size_t>(it->position() + it->length() - 1);
        if (!std::regex_search(parameters(text, open), borrowed)) continue;
        const auto line = static_cast<std::size_t>(
            std::count(text.begin(), text.begin() + it->position(1), '\n'));
        findings.push_back({source.path, line + 1, "task-parameters",
                            (*it)[1].str() + " borrows a parameter; a task takes all by value"});
    }
}

// Results and optionals declared in this file, whose .value() throws.
void check_values(const Source& source, std::vector<Finding>& findings) {
    static const std::regex declaration(
        R"(\b(?:Result|optional|expected)<.*>&?\s+(\w+)\s*[=;({,)])");
    static const std::regex use(R"((\w+)\s*\.value\(\))");
    std::vector<std::string> names;
    for (const std::string& line : source.code) {
        for (std::sregex_iterator it(line.begin(), line.end(), declaration), end; it != end; ++it) {
            names.push_back((*it)[1]);
        }
    }
    for (std::size_t i = 0; i < source.code.size(); ++i) {
        std::smatch match;
        if (!std::regex_search(source.code[i], match, use)) continue;
        if (std::ranges::find(names, match[1].str()) == names.end()) continue;
        findings.push_back({source.path, i + 1, "result-value",
                            match[1].str() + ".value() throws: test it and use *"});
    }
}

}  // namespace

void check_words(const Source& source, std::vector<Finding>& findings) {
    for (std::size_t i = 0; i < source.code.size(); ++i) {
        for (const BannedWord& word : banned_in_code()) {
            if (word.is_allowed(source.path)) continue;
            if (!std::regex_search(source.code[i], word.pattern)) continue;
            findings.push_back({source.path, i + 1, word.rule, word.text});
        }
        if (std::regex_search(source.lines[i], commented_code())) {
            findings.push_back({source.path, i + 1, "commented-code", "code in a comment"});
        }
    }
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
        if (std::regex_search(source.lines[i], unfinished_mark())) {
            findings.push_back({source.path, i + 1, "unfinished", "finish it or leave it out"});
        }
    }
    if (is_test(source.path)) return;
    check_tasks(source, findings);
    check_values(source, findings);
}

void check_text(const Source& source, std::vector<Finding>& findings) {
    static const std::regex address(R"(\b(https?|ftp)://([A-Za-z0-9.-]+))");
    static const std::regex machine(R"((^|[^\w.$}])/(root|home|Users|work)/\w)");
    static const std::regex script(
        R"(^(dev|scripts/.*|\.ci/.*|cmake/.*|.*CMakeLists\.txt|CMakePresets\.json|.*\.lock)$)");
    const bool is_script = std::regex_match(source.path, script);
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
        const std::string& line = source.lines[i];
        std::smatch match;
        if (is_script && std::regex_search(line, match, address) && match[2] != "localhost" &&
            match[2] != "127.0.0.1") {
            findings.push_back(
                {source.path, i + 1, "host", "a script names the host " + match[2].str()});
        }
        if (std::regex_search(line, machine)) {
            findings.push_back({source.path, i + 1, "machine-path", "a path of one machine"});
        }
        if (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) {
            findings.push_back(
                {source.path, i + 1, "white-space", "the line ends with white space"});
        }
    }
}

}  // namespace hearth::tidy
