#include "api/ollama_manage.h"

#include <array>
#include <boost/json.hpp>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;

constexpr std::array kPull = {Member{"model", Kind::Text}, Member{"name", Kind::Text},
                              Member{"insecure", Kind::Flag}, Member{"stream", Kind::Flag}};
constexpr std::array kCopy = {Member{"source", Kind::Text}, Member{"destination", Kind::Text}};

constexpr std::array kCreate = {
    Member{"model", Kind::Text},      Member{"name", Kind::Text},
    Member{"from", Kind::Text},       Member{"files", Kind::Object},
    Member{"adapters", Kind::Object}, Member{"template", Kind::Text},
    Member{"system", Kind::Text},     Member{"parameters", Kind::Object},
    Member{"messages", Kind::List},   Member{"quantize", Kind::Text},
    Member{"stream", Kind::Flag}};

std::optional<std::string> optional_text(const json::object& body, std::string_view name) {
    if (find(body, name) == nullptr) return std::nullopt;
    return text_of(body, name);
}

// One text or a list of them.
Result<std::vector<std::string>> licenses_of(const json::object& body) {
    std::vector<std::string> licenses;
    const json::value* given = find(body, "license");
    if (given == nullptr) return licenses;
    if (given->is_string()) return std::vector{std::string(given->get_string())};
    if (!given->is_array()) return fail(must_be("license", "a text or a list of texts"));
    for (const json::value& one : given->get_array()) {
        if (!one.is_string()) return fail(must_be("license", "a text or a list of texts"));
        licenses.emplace_back(one.get_string());
    }
    return licenses;
}

// Names of files and their digests.
Result<std::map<std::string, std::string>> files_of(const json::object& body,
                                                    std::string_view name) {
    std::map<std::string, std::string> files;
    const json::value* given = find(body, name);
    if (given == nullptr) return files;
    for (const auto& [file, digest] : given->get_object()) {
        if (!digest.is_string()) return fail(must_be(name, "an object of digests"));
        files.emplace(file, digest.get_string());
    }
    return files;
}

Result<std::string> model_of(const json::object& body) {
    std::string model = text_of(body, "model");
    if (model.empty()) model = text_of(body, "name");
    if (!model.empty()) return model;
    return fail({.code = Code::InvalidArgument, .message = "model is required", .param = "model"});
}

// What the downloader's words mean to a caller (fetch/outcome.h).
Code code_of(std::string_view word) {
    if (word == "invalid") return Code::InvalidArgument;
    if (word == "not_found") return Code::NotFound;
    if (word == "unauthorized") return Code::Forbidden;
    if (word == "no_space" || word == "busy" || word == "store") return Code::Unavailable;
    if (word == "stopped") return Code::Cancelled;
    if (word == "internal") return Code::Internal;
    return Code::BadUpstream;
}

}  // namespace

Result<PullCall> parse_pull(std::string_view text) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kPull));
    PullCall call;
    TRY(call.model, model_of(body));
    call.insecure = flag_at(body, "insecure");
    call.stream = flag_at(body, "stream", true);
    return call;
}

Result<std::string> parse_delete(std::string_view text) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kPull));
    return model_of(body);
}

Result<CopyCall> parse_copy(std::string_view text) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kCopy));
    CopyCall call{.source = text_of(body, "source"), .destination = text_of(body, "destination")};
    if (call.source.empty()) return fail(must_be("source", "the name of a model"));
    if (call.destination.empty()) return fail(must_be("destination", "a name"));
    return call;
}

Result<CreateCall> parse_create(std::string_view text) {
    TRY(const json::object body, read_object(text));
    TRY_VOID(check_members(body, kCreate));
    CreateCall call;
    TRY(call.model, model_of(body));
    call.from = text_of(body, "from");
    TRY(call.files, files_of(body, "files"));
    TRY(call.adapters, files_of(body, "adapters"));
    if (call.from.empty() == call.files.empty()) {
        return fail({.code = Code::InvalidArgument,
                     .message = "either from, the name of a model, or files is required",
                     .param = "from"});
    }
    call.ollama_template = optional_text(body, "template");
    call.system = optional_text(body, "system");
    if (const json::value* parameters = find(body, "parameters")) {
        call.parameters = json::serialize(*parameters);
    }
    if (const json::value* messages = find(body, "messages")) {
        call.messages = json::serialize(*messages);
    }
    TRY(call.licenses, licenses_of(body));
    call.quantise = text_of(body, "quantize");
    call.stream = flag_at(body, "stream", true);
    return call;
}

std::string encode_status(std::string_view status) {
    return json::serialize(json::object{{"status", status}});
}

std::string encode_status(std::string_view status, std::size_t completed, std::size_t total) {
    return json::serialize(
        json::object{{"status", status}, {"total", total}, {"completed", completed}});
}

Result<PullLine> read_pull_line(std::string_view line) {
    const auto object = read_object(line);
    if (!object) return fail(Code::Internal, "the downloader said something else than progress");
    const std::string error = text_of(*object, "error");
    if (!error.empty()) {
        const std::string word = text_of(*object, "code");
        return fail({.code = code_of(word), .message = error, .reason = word});
    }
    return PullLine{.success = text_of(*object, "status") == "success"};
}

}  // namespace hearth::api::ollama
