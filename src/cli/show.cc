#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "api/gguf_info.h"
#include "api/json_text.h"
#include "base/encoding.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/output.h"
#include "models/gguf.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

struct ShowOptions {
    std::string model;
    std::string url = default_address();
    bool as_json = false;
};

// In the shape of /api/show, so that both are printed by one piece of code.
Result<json::object> show_file(const std::filesystem::path& file) {
    TRY(const models::GgufHeader header, models::read_gguf_header(file));
    api::GgufInfo info = api::describe_gguf(header, false);
    const std::string architecture = repair_utf8(header.text("general.architecture"));
    const auto length = [&](const char* key) -> json::value {
        const auto number = header.number(format("{}.{}", architecture, key));
        if (!number) return nullptr;
        return *number;
    };
    return json::object{{"details",
                         {{"format", "gguf"},
                          {"family", architecture},
                          {"quantization_level", models::gguf_precision(header)},
                          {"context_length", length("context_length")},
                          {"embedding_length", length("embedding_length")}}},
                        {"template", std::move(info.chat_template)},
                        {"model_info", std::move(info.values)},
                        {"tensors", header.tensors.size()},
                        {"size", std::filesystem::file_size(file)}};
}

Result<json::object> show_served(const ShowOptions& options) {
    TRY(const auto address, parse_address(options.url));
    Connection connection(address);
    TRY(const json::value reply,
        connection.call("POST", "/api/show",
                        json::serialize(json::object{{"model", options.model}})));
    const json::object* shown = reply.if_object();
    if (shown == nullptr || !shown->contains("details") || !shown->contains("model_info")) {
        return fail(Code::BadUpstream, "the server's answer describes no model");
    }
    return *shown;
}

// One line, without what a terminal would obey: the text is the file's, not ours.
std::string line_of(const json::value& value) {
    constexpr std::size_t kBytesMax = 72;
    std::string text;
    if (value.is_string()) {
        text = value.get_string();
    } else {
        api::append_json(text, value);
    }
    std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    if (text.size() <= kBytesMax) return text;
    std::size_t end = kBytesMax - 3;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end) + "...";
}

void print_model(const json::object& shown) {
    std::vector<std::vector<std::string>> rows = {{"KEY", "VALUE"}};
    for (const char* part : {"details", "model_info"}) {
        const json::object* values = shown.at(part).if_object();
        if (values == nullptr) continue;
        for (const auto& [key, value] : *values) {
            if (value.is_null() || (value.is_string() && value.get_string().empty())) continue;
            rows.push_back({line_of(json::value(key)), line_of(value)});
        }
    }
    if (const json::value* can = shown.if_contains("capabilities")) {
        rows.push_back({"capabilities", line_of(*can)});
    }
    print_table(rows);
}

Result<void> show(const ShowOptions& options) {
    const bool is_file = options.model.ends_with(".gguf");
    TRY(const json::object shown, is_file ? show_file(options.model) : show_served(options));
    if (options.as_json) {
        std::string text;
        api::append_json(text, shown);
        std::cout << text << '\n';
    } else {
        print_model(shown);
    }
    return {};
}

}  // namespace

void add_show(CLI::App& app, int& status) {
    auto options = std::make_shared<ShowOptions>();
    auto* command = app.add_subcommand("show", "Describe a model of the server, or a GGUF file");
    command->add_option("model", options->model, "Name, or a path that ends in .gguf")->required();
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->add_flag("--json", options->as_json, "Machine-readable output");
    command->footer("Examples:\n  hearth show all-minilm\n  hearth show model.gguf --json");
    command->callback([options, &status] { status = report(show(*options)); });
}

}  // namespace hearth::cli
