// The first byte chooses the parser. Whatever comes back must be encodable, and an accepted request
// must keep its bounds. Of generating calls the first line is the body, and every other line an
// event of the engine (and what a model's manifest says): whatever they are, the answer must be
// JSON.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "api/anthropic.h"
#include "api/anthropic_generate.h"
#include "api/fim.h"
#include "api/model_defaults.h"
#include "api/ollama.h"
#include "api/ollama_generate.h"
#include "api/openai.h"
#include "api/openai_generate.h"
#include "api/rerank.h"
#include "api/responses.h"
#include "api/shorten.h"
#include "api/tei.h"
#include "base/encoding.h"

namespace {

using hearth::Result;
using hearth::api::Reply;
using hearth::inference::EmbedRequest;

void require(bool condition) {
    if (!condition) __builtin_trap();
}

void check(const EmbedRequest& request) {
    require(request.inputs.size() <= 2048);
    std::size_t ids = 0;
    for (const auto& input : request.inputs) {
        if (const auto* text = std::get_if<std::string>(&input)) {
            require(hearth::is_utf8(*text));
        } else {
            ids += std::get<hearth::inference::TokenIds>(input).size();
        }
    }
    require(ids <= 300'000);
    require(!request.dimensions || *request.dimensions >= 1);
}

template <class T>
bool accepted(const Result<T>& parsed, Reply (*encode_error)(const hearth::Error&)) {
    if (parsed) return true;
    const Reply reply = encode_error(parsed.error());
    require((reply.status >= 400 && reply.status < 500) || reply.status == 501);
    require(hearth::is_utf8(reply.body));
    return false;
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    for (;;) {
        const std::size_t end = text.find('\n');
        lines.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return lines;
        text.remove_prefix(end + 1);
    }
}

void require_json(std::string_view text) {
    require(hearth::is_utf8(text));
    boost::json::parse_options options;
    options.max_depth = 256;
    boost::system::error_code failed;
    const auto parsed = boost::json::parse(text, failed, {}, options);
    require(!failed);
}

// Every event of a stream, or the whole answer.
void require_answer(const hearth::api::AnswerWriter& writer, std::string_view out) {
    if (!writer.streams()) return require_json(out);
    for (std::string_view line : lines_of(out)) {
        if (line.starts_with("event: ")) continue;
        if (line.starts_with("data: ")) line.remove_prefix(6);
        const bool other = line.empty() || line.starts_with(':') || line.starts_with("event: ");
        if (!other && line != "[DONE]") require_json(line);
    }
}

void run(hearth::api::AnswerWriter& writer, std::span<const std::string_view> events) {
    std::string out;
    for (const std::string_view text : events) {
        boost::system::error_code failed;
        boost::json::value event = boost::json::parse(text, failed);
        if (failed || !event.is_object()) {
            writer.alive(out);
            continue;
        }
        require(writer.event(std::move(event.get_object()), out).has_value());
    }
    if (events.size() % 2 == 0) {
        writer.finish({}, out);
    } else {
        if (!writer.streams()) out.clear();
        writer.error({.message = "over"}, out);
    }
    require_answer(writer, out);
}

// An engine may be refused in the middle.
void run_until_refused(hearth::api::AnswerWriter& writer,
                       std::span<const std::string_view> events) {
    std::string out;
    for (const std::string_view text : events) {
        boost::system::error_code failed;
        boost::json::value event = boost::json::parse(text, failed);
        if (failed || !event.is_object()) {
            writer.alive(out);
            continue;
        }
        const auto said = writer.event(std::move(event.get_object()), out);
        if (said) continue;
        if (!writer.streams()) out.clear();
        writer.error(said.error(), out);
        return require_answer(writer, out);
    }
    writer.finish({}, out);
    require_answer(writer, out);
}

void complete(hearth::inference::GenerateRequest& request,
              std::span<const std::string_view> lines) {
    hearth::models::GgufModel model;
    model.system = "system";
    if (!lines.empty()) model.parameters = lines.front();
    if (!lines.empty()) model.messages = lines.back();
    hearth::api::apply_model_defaults(model, request);
    require_json(boost::json::serialize(request.body));
}

void generate(hearth::Result<hearth::api::openai::GenerateCall> (*parse)(std::string_view),
              std::string_view input) {
    namespace openai = hearth::api::openai;
    const auto lines = lines_of(input);
    const auto events = std::span(lines).subspan(1);
    auto call = parse(lines[0]);
    if (!accepted(call, openai::encode_error)) return;
    require(call->choices >= 1 && call->choices <= 128 && call->echo.size() <= 2048);
    complete(call->request, events);
    const auto writer = openai::make_writer(*call, call->request.model, {.id = "cmpl-1"});
    run(*writer, events);
}

void generate(hearth::Result<hearth::api::ollama::TextCall> (*parse)(std::string_view),
              std::string_view input) {
    namespace ollama = hearth::api::ollama;
    const auto lines = lines_of(input);
    const auto events = std::span(lines).subspan(1);
    auto call = parse(lines[0]);
    if (!accepted(call, ollama::encode_error)) return;
    require(!call->request.model.empty());
    require_json(
        ollama::encode_loaded(*call, call->request.model, std::chrono::nanoseconds(1)).body);
    complete(call->request, events);
    ollama::apply_dialect_defaults(call->request);
    while (hearth::api::drop_oldest_messages(call->request, 3, 2)) continue;
    const auto writer = ollama::make_writer(*call, call->request.model);
    run(*writer, events);
}

void generate(hearth::Result<hearth::api::anthropic::MessagesCall> (*parse)(std::string_view),
              std::string_view input) {
    namespace anthropic = hearth::api::anthropic;
    const auto lines = lines_of(input);
    const auto events = std::span(lines).subspan(1);
    auto call = parse(lines[0]);
    const auto encode = [](const hearth::Error& error) {
        return anthropic::encode_error(error, "req_1");
    };
    if (!accepted(call, encode)) return;
    complete(call->request, events);
    const auto writer = anthropic::make_writer(*call, call->request.model,
                                               {.message_id = "msg_1", .request_id = "req_1"});
    run_until_refused(*writer, events);
}

void respond(std::string_view input) {
    namespace responses = hearth::api::responses;
    const auto lines = lines_of(input);
    const auto events = std::span(lines).subspan(1);
    auto call = responses::parse(lines[0]);
    if (!accepted(call, hearth::api::openai::encode_error)) return;
    require(call->chat.choices == 1 && !call->chat.request.body.contains("input"));
    complete(call->chat.request, events);
    while (hearth::api::drop_oldest_messages(call->chat.request, 3, 2)) continue;
    const auto writer = responses::make_writer(*call, call->chat.request.model, {.id = "1"});
    run(*writer, events);
}

void fill_in(std::string_view input) {
    namespace fim = hearth::api::fim;
    const auto lines = lines_of(input);
    const auto events = std::span(lines).subspan(1);
    auto call = fim::parse(lines[0]);
    if (!accepted(call, hearth::api::openai::encode_error)) return;
    complete(call->request, events);
    const auto writer = fim::make_writer(*call, call->request.model, {.id = "fim-1"});
    run(*writer, events);
}

void rerank(std::string_view body) {
    namespace api = hearth::api;
    const auto chosen = api::rerank_shape(body);
    for (const auto shape : {chosen, api::RerankShape::Cohere}) {
        const auto call = api::parse_rerank(body, shape);
        if (!call) {
            const Reply refusal = api::encode_rerank_error(call.error(), shape);
            require(refusal.status >= 400 && refusal.status < 500);
            require_json(refusal.body);
            continue;
        }
        const auto& documents = call->request.documents;
        require(!call->request.query.empty() && !documents.empty());
        require(documents.size() <= hearth::inference::kDocumentsMax);
        hearth::inference::RerankReply reply;
        for (const std::string& document : documents) {
            require(!document.empty() && hearth::is_utf8(document));
            reply.scores.push_back(static_cast<float>(document.size() % 7));
        }
        require_json(api::encode_rerank(reply, *call, shape, "id").body);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace api = hearth::api;
    if (size == 0) return 0;
    const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    // A digit chooses the case of that number, and what follows the digits in ASCII the next.
    switch (static_cast<std::uint8_t>(data[0] - '0') % 17) {
        case 0: {
            const auto call = api::openai::parse_embeddings(body);
            if (accepted(call, api::openai::encode_error)) check(call->request);
            break;
        }
        case 1: {
            const auto request = api::ollama::parse_embed(body);
            if (accepted(request, api::ollama::encode_error)) check(*request);
            break;
        }
        case 2: {
            const auto request = api::ollama::parse_embeddings(body);
            if (accepted(request, api::ollama::encode_error)) check(*request);
            break;
        }
        case 3: {
            const auto call = api::ollama::parse_show(body);
            if (accepted(call, api::ollama::encode_error)) require(!call->model.empty());
            break;
        }
        case 4: generate(api::openai::parse_chat, body); break;
        case 5: generate(api::openai::parse_completion, body); break;
        case 6: generate(api::openai::parse_native, body); break;
        case 7: generate(api::openai::parse_infill, body); break;
        case 8: generate(api::ollama::parse_generate, body); break;
        case 9: generate(api::ollama::parse_chat, body); break;
        case 10: {
            const auto inquiry =
                api::openai::parse_inquiry(hearth::inference::Inquiry::ApplyTemplate, body);
            if (accepted(inquiry, api::openai::encode_error)) {
                require_json(boost::json::serialize(inquiry->body));
            }
            break;
        }
        case 11: generate(api::anthropic::parse_messages, body); break;
        case 12: generate(api::anthropic::parse_count_tokens, body); break;
        case 13: respond(body); break;
        case 14: fill_in(body); break;
        case 15: rerank(body); break;
        default: {
            const auto request = api::tei::parse_embed(body);
            if (accepted(request, api::tei::encode_error)) check(*request);
            break;
        }
    }
    return 0;
}
