#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/output.h"
#include "cli/progress.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

struct EmbedOptions {
    std::vector<std::string> files;
    std::string model = "all-minilm";
    std::string url = default_address();
    bool as_json = false;
    bool lines = false;
    bool truncate = false;
};

struct Input {
    std::string name;
    std::string text;
};

Result<std::string> read_whole(const std::string& name) {
    if (name == "-") return std::string{std::istreambuf_iterator<char>(std::cin), {}};
    std::ifstream stream(name, std::ios::binary);
    if (!stream) return fail(Code::NotFound, format("{} cannot be read", name));
    return std::string{std::istreambuf_iterator<char>(stream), {}};
}

Result<std::vector<Input>> read_inputs(const EmbedOptions& options) {
    std::vector<Input> inputs;
    for (const auto& name : options.files.empty() ? std::vector<std::string>{"-"} : options.files) {
        TRY(auto text, read_whole(name));
        if (!options.lines) {
            inputs.push_back({name, std::move(text)});
            continue;
        }
        std::size_t number = 0;
        for (std::size_t begin = 0; begin < text.size();) {
            const std::size_t end = std::min(text.find('\n', begin), text.size());
            ++number;
            if (end > begin) {
                inputs.push_back({format("{}:{}", name, number), text.substr(begin, end - begin)});
            }
            begin = end + 1;
        }
    }
    return inputs;
}

void print(const std::vector<Input>& inputs, const Embedded& embedded, bool as_json) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const float* row = embedded.vectors.data() + i * embedded.dimension;
        if (as_json) {
            json::object line{{"input", inputs[i].name},
                              {"embedding", json::array(row, row + embedded.dimension)}};
            std::cout << json::serialize(line) << '\n';
            continue;
        }
        std::cout << inputs[i].name << ": " << embedded.dimension << " dimensions [";
        for (std::size_t d = 0; d < std::min<std::size_t>(4, embedded.dimension); ++d) {
            std::cout << format("{}{:.4f}", d == 0 ? "" : ", ", row[d]);
        }
        std::cout << ", ...]\n";
    }
}

Result<void> embed(const EmbedOptions& options) {
    TRY(const auto address, parse_address(options.url));
    TRY(const auto inputs, read_inputs(options));
    std::vector<std::string> texts;
    texts.reserve(inputs.size());
    for (const auto& input : inputs) texts.push_back(input.text);
    Connection connection(address);
    Progress bar("embedding", texts.size());
    TRY(const auto embedded,
        connection.embed(texts, {.model = options.model,
                                 .truncate = options.truncate,
                                 .progress = [&](std::size_t done, auto) { bar.update(done); }}));
    print(inputs, embedded, options.as_json);
    return {};
}

}  // namespace

void add_embed(CLI::App& app, int& status) {
    auto options = std::make_shared<EmbedOptions>();
    auto* command = app.add_subcommand("embed", "Embed files or standard input");
    command->add_option("files", options->files, "Files; '-' or none: standard input");
    command->add_option("-m,--model", options->model, "Model")->capture_default_str();
    command->add_option("--url", options->url, "Server")->capture_default_str();
    command->add_flag("--lines", options->lines, "Each line is a text of its own");
    command->add_flag("--truncate", options->truncate, "Shorten texts over the model's window");
    command->add_flag("--json", options->as_json, "One JSON object a line, whole vectors");
    command->footer(
        "Examples:\n"
        "  hearth embed README.md\n"
        "  git log --format=%s | hearth embed --lines --json > subjects.jsonl");
    command->callback([options, &status] { status = report(embed(*options)); });
}

}  // namespace hearth::cli
