#include "api/ollama_modelfile.h"

#include <boost/json.hpp>
#include <utility>
#include <vector>

#include "api/json_text.h"
#include "base/format.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;

// Its reader has refused what is no JSON.
json::value parsed(const std::string& text) {
    boost::system::error_code failed;
    json::value value = json::parse(text, failed);
    return failed ? json::value() : value;
}

// Every value of every parameter, in the order of the manifest.
std::vector<std::pair<std::string, std::string>> parameters_of(const models::Model& model) {
    std::vector<std::pair<std::string, std::string>> out;
    const json::value options = model.gguf ? parsed(model.gguf->parameters) : json::value();
    if (!options.is_object()) return out;
    const auto add = [&out](std::string_view name, const json::value& value) {
        std::string text;
        append_json(text, value);
        out.emplace_back(name, std::move(text));
    };
    for (const auto& [name, value] : options.get_object()) {
        if (value.is_array()) {
            for (const json::value& one : value.get_array()) add(name, one);
        } else {
            add(name, value);
        }
    }
    return out;
}

void append_block(std::string& out, std::string_view command, std::string_view text) {
    if (!text.empty()) out += format("{} \"\"\"{}\"\"\"\n", command, text);
}

void append_messages(std::string& out, const std::string& messages) {
    const json::value list = parsed(messages);
    if (!list.is_array()) return;
    for (const json::value& message : list.get_array()) {
        if (!message.is_object()) continue;
        const json::value* role = message.get_object().if_contains("role");
        const json::value* content = message.get_object().if_contains("content");
        if (role == nullptr || !role->is_string()) continue;
        if (content == nullptr || !content->is_string()) continue;
        append_block(out, format("MESSAGE {}", std::string_view(role->get_string())),
                     content->get_string());
    }
}

}  // namespace

std::string show_parameters(const models::Model& model) {
    std::string out;
    for (const auto& [name, value] : parameters_of(model)) {
        if (!out.empty()) out += '\n';
        out += format("{:<30} {}", name, value);
    }
    return out;
}

std::string show_modelfile(const models::Model& model) {
    std::string out = format("FROM {}\n", model.name);
    if (!model.gguf) return out;
    append_block(out, "TEMPLATE", model.gguf->ollama_template);
    append_block(out, "SYSTEM", model.gguf->system);
    for (const auto& [name, value] : parameters_of(model)) {
        out += format("PARAMETER {} {}\n", name, value);
    }
    append_messages(out, model.gguf->messages);
    append_block(out, "LICENSE", model.gguf->license);
    return out;
}

}  // namespace hearth::api::ollama
