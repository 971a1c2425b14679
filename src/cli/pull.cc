#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/terminal_text.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

struct PullOptions {
    std::string model;
    std::string url = default_address();
    bool insecure = false;
    bool as_json = false;
};

// The lines of /api/pull on stderr: a bar per layer, and every other status once.
class PullDisplay {
  public:
    Result<void> take(std::string_view line) {
        TRY(const json::object part, read_answer_line(line));
        const std::string text = printable_line(text_at(part, "status"));
        if (text.empty()) return {};
        succeeded_ = text == "success";
        if (part.contains("digest")) {
            show_layer(text, number_at(part, "total"), number_at(part, "completed"));
        } else {
            show_status(text);
        }
        return {};
    }
    bool succeeded() const { return succeeded_; }

  private:
    // A layer whose size is not known yet is a status like any other.
    void show_layer(const std::string& text, std::size_t total, std::size_t completed) {
        if (total == 0) return;
        if (text != label_) {
            end_layer();
            label_ = text;
            total_ = total;
            bar_.emplace(text, total, Progress::Unit::Bytes);
        }
        completed_ = completed;
        bar_->update(completed);
    }
    void end_layer() {
        if (!bar_) return;
        bar_.reset();
        const bool whole = completed_ >= total_;
        std::fprintf(stderr, "%s %s%s\n", label_.c_str(), print_bytes(completed_).c_str(),
                     whole ? "" : (" of " + print_bytes(total_)).c_str());
    }
    void show_status(const std::string& text) {
        end_layer();
        if (text == label_) return;
        label_ = text;
        std::fprintf(stderr, "%s\n", text.c_str());
    }

    std::string label_;  // what was shown last
    std::size_t total_ = 0;
    std::size_t completed_ = 0;
    std::optional<Progress> bar_;
    bool succeeded_ = false;
};

Result<void> pull_as_json(Connection& connection, const std::string& body) {
    return connection.stream("/api/pull", body, [](std::string_view line) -> Result<void> {
        TRY(const json::object checked, read_answer_line(line));
        std::fwrite(line.data(), 1, line.size(), stdout);
        std::fputc('\n', stdout);
        std::fflush(stdout);
        return {};
    });
}

Result<void> pull(const PullOptions& options) {
    TRY(const auto address, parse_address(options.url));
    json::object asked{{"model", repair_utf8(options.model)}, {"stream", true}};
    if (options.insecure) asked["insecure"] = true;
    const std::string body = json::serialize(asked);
    Connection connection(address);
    const InterruptGuard guard;
    if (options.as_json) return pull_as_json(connection, body);
    PullDisplay display;
    TRY_VOID(connection.stream("/api/pull", body,
                               [&](std::string_view line) { return display.take(line); }));
    if (display.succeeded()) return {};
    return fail(Code::BadUpstream, "the server ended the download before it was whole");
}

}  // namespace

void add_pull(CLI::App& app, int& status) {
    auto options = std::make_shared<PullOptions>();
    auto* command = app.add_subcommand("pull", "Download a model");
    command->add_option("model", options->model, "Model, as a registry or the hub names it")
        ->required();
    command->add_flag("--insecure", options->insecure, "Allow http to other machines");
    command->add_flag("--json", options->as_json, "Progress as one JSON object a line");
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->footer(
        "Examples:\n"
        "  hearth pull qwen3:0.6b\n"
        "  hearth pull hf.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF:Q8_0\n"
        "Ctrl-C stops it; the same command goes on where it was.\n"
        "Exit codes: 0 done, 1 the operation failed, 2 wrong usage.");
    command->callback([options, &status] { status = report_or_interrupt(pull(*options)); });
}

}  // namespace hearth::cli
