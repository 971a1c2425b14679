// Conformance of the dialects: testdata/DIALECT/FUNCTION.CASE.in.json is given to that function and
// must yield exactly FUNCTION.CASE.out.json. HEARTH_UPDATE_GOLDEN=1 writes the results instead;
// read the diff.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "api/anthropic.h"
#include "api/anthropic_generate.h"
#include "api/fim.h"
#include "api/json_text.h"
#include "api/ollama.h"
#include "api/openai.h"
#include "api/responses.h"
#include "api/tei.h"
#include "api/testing.h"
#include "base/format.h"

namespace hearth::api {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::TokenIds;

std::string show(const Reply& reply) {
    std::string retry = reply.retry_after ? std::to_string(reply.retry_after->count()) : "null";
    std::string body = reply.body;
    if (!reply.content_type.starts_with("application/json")) {
        body.clear();
        append_text(body, reply.body);
    }
    return format("{{\"status\":{},\"content_type\":\"{}\",\"retry_after\":{},\"body\":\n{}}}\n",
                  reply.status, reply.content_type, retry, body);
}

std::string_view overflow_name(inference::Overflow overflow) {
    switch (overflow) {
        case inference::Overflow::Refuse: return "Refuse";
        case inference::Overflow::CutRight: return "CutRight";
        case inference::Overflow::CutLeft: return "CutLeft";
    }
    return "";
}

std::string show(const EmbedRequest& request) {
    std::string out = "{\"model\":";
    append_text(out, request.model);
    out += ",\"inputs\":[";
    for (const auto& input : request.inputs) {
        if (&input != request.inputs.data()) out += ',';
        if (const auto* text = std::get_if<std::string>(&input)) {
            append_text(out, *text);
        } else {
            out += format("[{}]", fmt::join(std::get<TokenIds>(input), ","));
        }
    }
    out += format("],\"dimensions\":{},\"overflow\":\"{}\",\"normalize\":{},\"prompt_name\":\"{}\"",
                  request.dimensions ? std::to_string(*request.dimensions) : "null",
                  overflow_name(request.overflow), request.normalize, request.prompt_name);
    out += format(",\"keep_alive_ms\":{},\"tokens_max\":{}}}\n",
                  request.keep_alive ? std::to_string(request.keep_alive->count()) : "null",
                  request.tokens_max);
    return out;
}

std::string show(const openai::EmbeddingsCall& call) {
    return format("{{\"format\":\"{}\",\"request\":\n{}}}\n",
                  call.format == openai::VectorFormat::Base64 ? "base64" : "float",
                  show(call.request));
}

std::string show(const ollama::ShowCall& call) {
    return format("{{\"model\":\"{}\",\"verbose\":{}}}\n", call.model, call.verbose);
}

std::string show(const anthropic::MessagesCall& call) {
    std::string out = "{\"model\":";
    append_text(out, call.request.model);
    out += format(",\"stream\":{},\"wants_images\":{},\"hides_thinking\":{},\"body\":\n",
                  call.stream, call.wants_images, call.hides_thinking);
    append_json(out, call.request.body);
    return out + "}\n";
}

Reply encode_anthropic_error(const Error& error) { return anthropic::encode_error(error, "req_1"); }

std::string_view operation_name(inference::Operation operation) {
    return operation == inference::Operation::Infill ? "Infill" : "Chat";
}

std::string show(const inference::GenerateRequest& request) {
    return format("{{\"model\":\"{}\",\"operation\":\"{}\",\"body\":\n{}}}", request.model,
                  operation_name(request.operation), json::serialize(request.body));
}

std::string show(const responses::Call& call) {
    return format("{{\"stream\":{},\"truncate\":{},\"request\":\n{},\"asked\":\n{}}}\n",
                  call.chat.stream, call.truncate, show(call.chat.request),
                  json::serialize(call.asked));
}

std::string show(const fim::Call& call) {
    return format("{{\"stream\":{},\"request\":\n{}}}\n", call.stream, show(call.request));
}

template <class T>
std::string show(const Result<T>& parsed, Reply (*encode_error)(const Error&)) {
    return parsed ? show(*parsed) : show(encode_error(parsed.error()));
}

// Arguments of the encoders, as the .in.json files write them.
struct Arguments {
    explicit Arguments(std::string_view text) : object(json::parse(text).as_object()) {}

    std::string text(std::string_view name) const {
        const json::value* value = object.if_contains(name);
        return value ? std::string(value->as_string()) : std::string();
    }
    std::int64_t integer(std::string_view name) const {
        const json::value* value = object.if_contains(name);
        return value ? value->as_int64() : 0;
    }
    EmbedReply reply() const {
        EmbedReply reply;
        for (const auto& vector : object.at("vectors").as_array()) {
            reply.dimension = vector.as_array().size();
            for (const auto& value : vector.as_array()) {
                reply.vectors.push_back(value.to_number<float>());
            }
        }
        for (const auto& tokens : object.at("tokens").as_array()) {
            reply.tokens.push_back(tokens.to_number<std::uint32_t>());
        }
        reply.load_time = std::chrono::nanoseconds(integer("load_ns"));
        return reply;
    }
    std::vector<models::Model> models() const {
        std::vector<models::Model> models;
        for (const auto& name : object.at("models").as_array()) {
            models.push_back(sample_model(std::string(name.as_string())));
        }
        return models;
    }
    Error error() const {
        Error error{.message = text("message"), .reason = text("reason"), .param = text("param")};
        for (const Code code : kAllCodes) {
            if (to_string(code) == text("code")) error.code = code;
        }
        error.amount = static_cast<std::size_t>(integer("amount"));
        error.limit = static_cast<std::size_t>(integer("limit"));
        if (object.contains("retry_after_ms")) {
            error.retry_after = std::chrono::milliseconds(integer("retry_after_ms"));
        }
        return error;
    }

    json::object object;
};

// An event stream as a list, one event a line; "[DONE]" and comments as texts.
std::string show_stream(std::string_view stream) {
    std::string out;
    while (!stream.empty()) {
        const std::size_t end = stream.find("\n\n");
        const std::string_view event = stream.substr(0, end);
        stream.remove_prefix(end == std::string_view::npos ? stream.size() : end + 2);
        const std::size_t data = event.find("data: {");
        out += out.empty() ? "[" : ",\n";
        if (data == std::string_view::npos) {
            append_text(out, event);
        } else {
            out += format("[\"{}\",{}]", event.substr(0, data == 0 ? 0 : data - 1),
                          event.substr(data + 6));
        }
    }
    return out + "]\n";
}

// {"body": ..., "events": [...], "error": ...}: what the caller of that body is answered.
std::string show_answer(AnswerWriter& writer, const Arguments& arguments) {
    std::string out;
    for (const json::value& event : arguments.object.at("events").as_array()) {
        EXPECT_TRUE(writer.event(event.as_object(), out));
    }
    if (const json::value* error = arguments.object.if_contains("error")) {
        writer.error(Arguments(json::serialize(*error)).error(), out);
    } else {
        writer.finish({}, out);
    }
    return writer.streams() ? show_stream(out) : out + "\n";
}

std::string answer_responses(const Arguments& arguments) {
    const auto call = responses::parse(json::serialize(arguments.object.at("body")));
    const auto writer = responses::make_writer(*call, call->chat.request.model,
                                               {.id = "1", .created_unix = 1'795'231'500});
    return show_answer(*writer, arguments);
}

std::string answer_fim(const Arguments& arguments) {
    const auto call = fim::parse(json::serialize(arguments.object.at("body")));
    const auto writer = fim::make_writer(*call, call->request.model,
                                         {.id = "fim-1", .created_unix = 1'795'231'500});
    return show_answer(*writer, arguments);
}

std::string encode_ps(const Arguments& arguments) {
    const auto models = arguments.models();
    std::vector<RunningModel> running;
    for (const auto& model : models) {
        running.push_back({.model = &model,
                           .memory_bytes = 123'456'789,
                           .expires_unix_ns = 1'795'231'500'000'000'000});
    }
    if (!running.empty()) running.back().expires_unix_ns = kNever;
    return show(ollama::encode_ps(running));
}

// What a caller of "call" gets when the engine says "events", and fails if "code" is there.
std::string answer_anthropic(const Arguments& arguments) {
    const auto call = anthropic::parse_messages(json::serialize(arguments.object.at("call")));
    if (!call) return show(encode_anthropic_error(call.error()));
    const auto writer =
        anthropic::make_writer(*call, "m", {.message_id = "msg_1", .request_id = "req_1"});
    std::string out;
    inference::GenerateReply reply;
    for (const json::value& event : arguments.object.at("events").as_array()) {
        inference::note_usage(event.as_object(), reply.usage);
        EXPECT_TRUE(writer->event(event.as_object(), out));
    }
    if (arguments.object.contains("code")) {
        writer->error(arguments.error(), out);
    } else {
        writer->finish(reply, out);
    }
    return show(Reply{.content_type = std::string(writer->content_type()), .body = out});
}

using Functions =
    std::map<std::string, std::function<std::string(const std::string&)>, std::less<>>;

const Functions& anthropic_functions() {
    using A = Arguments;
    static const Functions table = {
        {"anthropic/parse_messages",
         [](const auto& in) {
             auto call = anthropic::parse_messages(in);
             const auto translated =
                 call ? inference::check_translatable(call->request) : Result<void>();
             if (!translated) call = std::unexpected(translated.error());
             return show(call, encode_anthropic_error);
         }},
        {"anthropic/parse_count_tokens",
         [](const auto& in) {
             return show(anthropic::parse_count_tokens(in), encode_anthropic_error);
         }},
        {"anthropic/answer", [](const auto& in) { return answer_anthropic(A(in)); }},
        {"anthropic/encode_count",
         [](const auto& in) {
             return show(anthropic::encode_count(A(in).object), encode_anthropic_error);
         }},
        {"anthropic/encode_models",
         [](const auto& in) {
             const A a(in);
             return show(anthropic::encode_models(
                 a.models(), {.limit = static_cast<std::size_t>(a.integer("limit")),
                              .after_id = a.text("after_id"),
                              .before_id = a.text("before_id")}));
         }},
        {"anthropic/encode_model",
         [](const auto& in) { return show(anthropic::encode_model(A(in).models().at(0))); }},
        {"anthropic/encode_error",
         [](const auto& in) { return show(encode_anthropic_error(A(in).error())); }},
    };
    return table;
}

const Functions& functions() {
    using A = Arguments;
    static const Functions table = {
        {"openai/parse_embeddings",
         [](const auto& in) { return show(openai::parse_embeddings(in), openai::encode_error); }},
        {"openai/encode_embeddings",
         [](const auto& in) {
             const A a(in);
             return show(openai::encode_embeddings(a.reply(),
                                                   a.text("format") == "base64"
                                                       ? openai::VectorFormat::Base64
                                                       : openai::VectorFormat::Float,
                                                   a.text("model")));
         }},
        {"openai/encode_models",
         [](const auto& in) { return show(openai::encode_models(A(in).models())); }},
        {"openai/encode_model",
         [](const auto& in) { return show(openai::encode_model(A(in).models().at(0))); }},
        {"openai/encode_error",
         [](const auto& in) { return show(openai::encode_error(A(in).error())); }},
        {"ollama/parse_embed",
         [](const auto& in) { return show(ollama::parse_embed(in), ollama::encode_error); }},
        {"ollama/parse_embeddings",
         [](const auto& in) { return show(ollama::parse_embeddings(in), ollama::encode_error); }},
        {"ollama/parse_show",
         [](const auto& in) { return show(ollama::parse_show(in), ollama::encode_error); }},
        {"ollama/encode_embed",
         [](const auto& in) {
             const A a(in);
             return show(ollama::encode_embed(a.reply(), a.text("model"),
                                              std::chrono::nanoseconds(a.integer("total_ns"))));
         }},
        {"ollama/encode_embeddings",
         [](const auto& in) { return show(ollama::encode_embeddings(A(in).reply())); }},
        {"ollama/encode_show",
         [](const auto& in) { return show(ollama::encode_show(A(in).models().at(0))); }},
        {"ollama/encode_tags",
         [](const auto& in) { return show(ollama::encode_tags(A(in).models())); }},
        {"ollama/encode_ps", [](const auto& in) { return encode_ps(A(in)); }},
        {"ollama/encode_version",
         [](const auto& in) { return show(ollama::encode_version(A(in).text("version"))); }},
        {"ollama/encode_alive", [](const auto&) { return show(ollama::encode_alive()); }},
        {"ollama/encode_error",
         [](const auto& in) { return show(ollama::encode_error(A(in).error())); }},
        {"responses/parse",
         [](const auto& in) { return show(responses::parse(in), openai::encode_error); }},
        {"responses/answer", [](const auto& in) { return answer_responses(A(in)); }},
        {"fim/parse", [](const auto& in) { return show(fim::parse(in), openai::encode_error); }},
        {"fim/answer", [](const auto& in) { return answer_fim(A(in)); }},
        {"tei/parse_embed",
         [](const auto& in) { return show(tei::parse_embed(in), tei::encode_error); }},
        {"tei/encode_embed", [](const auto& in) { return show(tei::encode_embed(A(in).reply())); }},
        {"tei/encode_info",
         [](const auto& in) {
             return show(tei::encode_info(A(in).models().at(0), "1.2.3",
                                          {.requests_max = 512, .batch_tokens_max = 4096}));
         }},
        {"tei/encode_error", [](const auto& in) { return show(tei::encode_error(A(in).error())); }},
    };
    return table;
}

std::string read(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<fs::path> cases() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(HEARTH_API_TESTDATA)) {
        if (entry.path().string().ends_with(".in.json")) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
}

TEST(Golden, EveryCaseYieldsExactlyWhatIsRecorded) {
    const bool update = std::getenv("HEARTH_UPDATE_GOLDEN") != nullptr;
    std::map<std::string, int> seen;
    for (const fs::path& file : cases()) {
        const std::string stem = file.filename().string();
        const std::string name =
            file.parent_path().filename().string() + "/" + stem.substr(0, stem.find('.'));
        const Functions& table =
            name.starts_with("anthropic/") ? anthropic_functions() : functions();
        const auto function = table.find(name);
        ASSERT_NE(function, table.end()) << file;
        ++seen[name];
        const std::string result = function->second(read(file));
        fs::path expected = file;
        expected.replace_filename(stem.substr(0, stem.size() - 8) + ".out.json");
        if (update) {
            std::ofstream(expected, std::ios::binary) << result;
        } else {
            EXPECT_EQ(result, read(expected)) << file;
        }
    }
    for (const Functions* table : {&functions(), &anthropic_functions()}) {
        for (const auto& [name, function] : *table) EXPECT_GT(seen[name], 0) << name;
    }
}

TEST(Golden, EveryRecordedAnswerIsJson) {
    for (const fs::path& file : cases()) {
        fs::path expected = file;
        expected.replace_extension().replace_extension(".out.json");
        boost::system::error_code error;
        const json::value ignored = json::parse(read(expected), error);
        EXPECT_FALSE(error) << expected << ": " << error.message();
    }
}

}  // namespace
}  // namespace hearth::api
