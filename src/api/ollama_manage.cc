#include "api/ollama_manage.h"

#include <array>
#include <boost/json.hpp>

#include "api/json_body.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;

constexpr std::array kPull = {Member{"model", Kind::Text}, Member{"name", Kind::Text},
                              Member{"insecure", Kind::Flag}, Member{"stream", Kind::Flag}};
constexpr std::array kCopy = {Member{"source", Kind::Text}, Member{"destination", Kind::Text}};

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
    call.insecure = flag_of(body, "insecure");
    call.stream = flag_of(body, "stream", true);
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
