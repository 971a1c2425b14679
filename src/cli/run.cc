#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <memory>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/chat.h"
#include "cli/chat_session.h"
#include "cli/commands.h"
#include "cli/images.h"
#include "cli/interrupt.h"
#include "cli/option_values.h"
#include "cli/output.h"
#include "server/config.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

struct RunOptions {
    std::string model;
    std::vector<std::string> prompt;
    std::string system;
    std::string format;
    std::string think;
    std::vector<std::string> options;
    std::string keep_alive;
    std::string url = default_address();
    bool as_json = false;
    bool verbose = false;
    bool no_history = false;
};

// "json", or the file of a schema.
Result<json::value> read_format(const std::string& text) {
    if (text.empty()) return json::value();
    if (text == "json") return json::value("json");
    TRY(const std::string schema, read_whole_file(text));
    boost::system::error_code failed;
    json::value parsed = json::parse(schema, failed);
    if (failed || !parsed.is_object()) {
        return fail(Code::InvalidArgument, format("{} holds no JSON schema", text));
    }
    return parsed;
}

Result<ChatSettings> read_settings(const RunOptions& options) {
    ChatSettings settings{.model = options.model,
                          .system = options.system,
                          .options = {},
                          .format = {},
                          .think = {},
                          .keep_alive = {}};
    for (const std::string& one : options.options) TRY_VOID(set_option(settings.options, one));
    TRY(settings.format, read_format(options.format));
    if (!options.think.empty()) {
        TRY(settings.think, think_value(options.think));
    }
    if (!options.keep_alive.empty()) settings.keep_alive = keep_alive_value(options.keep_alive);
    return settings;
}

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

// The prompt of the arguments, with its images, and then what is piped in.
Result<Illustrated> read_prompt(Connection& connection, const RunOptions& options) {
    Illustrated prompt{.text = join(options.prompt), .images = {}, .names = {}};
    if (!find_image_paths(prompt.text).empty()) {
        TRY(const ModelFacts facts, describe_model(connection, options.model));
        if (facts.can("vision")) {
            TRY(prompt, take_images(prompt.text));
        }
    }
    if (isatty(STDIN_FILENO) != 1) {
        TRY(const std::string piped, read_standard_input());
        if (!prompt.text.empty() && !piped.empty()) prompt.text += "\n\n";
        prompt.text += piped;
    }
    if (trimmed(prompt.text).empty() && prompt.images.empty()) {
        return fail(Code::InvalidArgument,
                    "there is no prompt, neither as an argument nor on standard input");
    }
    return prompt;
}

Result<void> answer_as_json(Connection& connection, const Conversation& conversation) {
    const InterruptGuard guard;
    return connection.stream("/api/chat", conversation.request(false),
                             [](std::string_view answer) -> Result<void> {
                                 TRY(const json::object checked, read_answer_line(answer));
                                 std::fwrite(answer.data(), 1, answer.size(), stdout);
                                 std::fputc('\n', stdout);
                                 return {};
                             });
}

Result<void> answer_as_text(Connection& connection, const Conversation& conversation,
                            bool verbose) {
    const InterruptGuard guard;
    AnswerPrinter printer = standard_printer();
    TRY(const Said said, ask(connection, conversation, printer));
    if (said.interrupted) return fail(Code::Cancelled, "interrupted");
    if (verbose) std::fputs(("\n" + print_metrics(said.last)).c_str(), stderr);
    return {};
}

Result<void> run_once(Connection& connection, Conversation conversation,
                      const RunOptions& options) {
    TRY(const Illustrated prompt, read_prompt(connection, options));
    conversation.say(prompt.text, prompt.images);
    if (options.as_json) return answer_as_json(connection, conversation);
    return answer_as_text(connection, conversation, options.verbose);
}

// Beside the server's own data. None where the configuration is wrong: the server says that.
std::filesystem::path history_file(const RunOptions& options) {
    const auto config = server::load_config({}, server::hearth_environment());
    if (options.no_history || !config) return {};
    return config->data_dir() / "run_history";
}

Result<void> run(const RunOptions& options) {
    TRY(const auto address, parse_address(options.url));
    Conversation conversation;
    TRY(conversation.settings, read_settings(options));
    Connection connection(address);
    if (!options.prompt.empty() || isatty(STDIN_FILENO) != 1) {
        return run_once(connection, std::move(conversation), options);
    }
    if (options.as_json || isatty(STDOUT_FILENO) != 1) {
        return fail(Code::InvalidArgument, "give a prompt: a chat needs a terminal");
    }
    return chat_on_terminal(connection, std::move(conversation),
                            {.verbose = options.verbose, .history = history_file(options)});
}

void describe(CLI::App& command, RunOptions& options) {
    command.add_option("model", options.model, "Model")->required();
    command.add_option("prompt", options.prompt, "What to ask; none: a chat on the terminal");
    command.add_option("--system", options.system, "What the model is told first");
    command.add_option("--format", options.format,
                       "Form of the answer: 'json', or a file with a JSON schema");
    auto* think = command.add_flag("--think", options.think,
                                   "Reason before the answer; --think=low, medium or high");
    command
        .add_flag_callback(
            "--no-think", [&options] { options.think = "false"; }, "Answer at once")
        ->excludes(think);
    command
        .add_option("--option", options.options, "NAME=VALUE such as temperature=0.2, may repeat")
        ->allow_extra_args(false);
    command.add_option("--keep-alive", options.keep_alive,
                       "How long the model stays in memory: 10m, 0, -1");
    command.add_flag("--verbose", options.verbose, "Counts, times and tokens per second");
    command.add_flag("--json", options.as_json, "The whole answer as one JSON object");
    command.add_flag("--no-history", options.no_history, "Keep no history of a chat");
    command.add_option("--url", options.url, "Server")->capture_default_str();
    command.footer(
        "Examples:\n"
        "  hearth run qwen3                                    a chat; /help lists its commands\n"
        "  hearth run qwen3 'Why is the sky blue?'\n"
        "  git diff | hearth run qwen3 'Write the commit message.'\n"
        "  hearth run llava 'What is on ./photo.jpg?'\n"
        "  hearth run qwen3 --json --format schema.json --option temperature=0 'List three birds'\n"
        "Piped text follows the prompt. Reasoning is shown on a terminal only. Ctrl-C stops an "
        "answer.\n"
        "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.");
}

}  // namespace

void add_run(CLI::App& app, int& status) {
    auto options = std::make_shared<RunOptions>();
    auto* command = app.add_subcommand("run", "Chat with a model, or ask it once");
    describe(*command, *options);
    command->callback([options, &status] { status = report_or_interrupt(run(*options)); });
}

}  // namespace hearth::cli
