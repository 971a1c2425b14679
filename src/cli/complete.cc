#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <memory>

#include "base/encoding.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/terminal_text.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

constexpr int kTokens = 256;
constexpr int kTokensMax = 1 << 24;

struct CompleteOptions {
    std::string model;
    std::string prefix;
    std::string prefix_file;
    std::string suffix;
    std::string suffix_file;
    int max_tokens = kTokens;
    std::string url = default_address();
    bool as_json = false;
    bool fills = false;  // there is a suffix, if only an empty one
};

Result<std::string> read_part(const std::string& text, const std::string& file) {
    if (file.empty()) return text;
    return file == "-" ? read_standard_input() : read_whole_file(file);
}

Result<std::string> request_body(const CompleteOptions& options) {
    TRY(const std::string prefix, read_part(options.prefix, options.prefix_file));
    TRY(const std::string suffix, read_part(options.suffix, options.suffix_file));
    json::object body{{"model", repair_utf8(options.model)}, {"stream", !options.as_json}};
    if (options.fills) {
        body["input_prefix"] = repair_utf8(prefix);
        body["input_suffix"] = repair_utf8(suffix);
        body["n_predict"] = options.max_tokens;
    } else {
        body["prompt"] = repair_utf8(prefix);
        body["max_tokens"] = options.max_tokens;
    }
    return json::serialize(body);
}

// What an event of /infill or of /v1/completions adds.
std::string_view text_of(const json::object& event) {
    const json::array& choices = list_at(event, "choices");
    if (choices.empty() || !choices[0].is_object()) return text_at(event, "content");
    return text_at(choices[0].get_object(), "text");
}

Result<void> print_whole(std::string_view answer) {
    TRY(const json::object checked, read_answer_line(answer));
    std::fwrite(answer.data(), 1, answer.size(), stdout);
    std::fputc('\n', stdout);
    return {};
}

Result<void> complete(const CompleteOptions& options) {
    TRY(const auto address, parse_address(options.url));
    TRY(const std::string body, request_body(options));
    const bool terminal = isatty(STDOUT_FILENO) == 1;
    const auto print_piece = [&](std::string_view line) -> Result<void> {
        TRY(const json::object event, read_answer_line(line));
        const std::string text = terminal ? printable(text_of(event)) : std::string(text_of(event));
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
        return {};
    };
    Connection connection(address);
    const InterruptGuard guard;
    const auto done = connection.stream(
        options.fills ? "/infill" : "/v1/completions", body,
        options.as_json ? Connection::OnLine(print_whole) : Connection::OnLine(print_piece));
    // A pipe gets the text alone, which goes between a prefix and a suffix.
    if (terminal && !options.as_json) std::fputc('\n', stdout);
    return done;
}

}  // namespace

void add_complete(CLI::App& app, int& status) {
    auto options = std::make_shared<CompleteOptions>();
    auto* command = app.add_subcommand("complete", "Go on with a text, or fill in its middle");
    command->add_option("model", options->model, "Model")->required();
    auto* prefix = command->add_option("--prefix", options->prefix, "Text before the gap");
    auto* prefix_file = command->add_option("--prefix-file", options->prefix_file,
                                            "The same from a file; '-': standard input");
    auto* suffix = command->add_option("--suffix", options->suffix, "Text after the gap");
    auto* suffix_file = command->add_option("--suffix-file", options->suffix_file,
                                            "The same from a file; '-': standard input");
    prefix->excludes(prefix_file);
    suffix->excludes(suffix_file);
    command->add_option("--max-tokens", options->max_tokens, "Length of the answer")
        ->check(CLI::Range(1, kTokensMax))
        ->capture_default_str();
    command->add_flag("--json", options->as_json, "The whole answer as one JSON object");
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->footer(
        "Examples:\n"
        "  hearth complete qwen2.5-coder --prefix 'def add(a, b):' --suffix 'print(add(1, 2))'\n"
        "  hearth complete qwen2.5-coder --prefix-file above.c --suffix-file below.c\n"
        "  head -20 main.py | hearth complete qwen2.5-coder --prefix-file - --max-tokens 64\n"
        "With a suffix the model must know how to fill in: 'hearth show' lists insert.\n"
        "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.");
    command->callback([options, suffix, suffix_file, &status] {
        options->fills = suffix->count() + suffix_file->count() > 0;
        status = report_or_interrupt(complete(*options));
    });
}

}  // namespace hearth::cli
