#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "api/anthropic.h"
#include "api/anthropic_generate.h"
#include "api/model_defaults.h"
#include "base/format.h"
#include "http/head_parser.h"
#include "server/answer.h"
#include "server/caller.h"
#include "server/generate.h"
#include "server/surfaces.h"
#include "telemetry/unique_id.h"

// The Anthropic dialect: /v1/messages, the count of its tokens, and its view of /v1/models.
namespace hearth::server {
namespace anthropic = api::anthropic;
namespace {

constexpr std::string_view kModels = "/v1/models/";
constexpr std::size_t kFieldsBytesMax = 8 << 10;

std::string new_request_id() { return unique_id("req_"); }

Awaitable<void> send_reply(http::Exchange& exchange, Result<api::Reply> reply) {
    Provenance provenance{.request_id = new_request_id()};
    if (!reply) reply = anthropic::encode_error(reply.error(), provenance.request_id);
    co_await answer(exchange, *std::move(reply), std::move(provenance));
}

// A call of a model that is there and can do it, with what its manifest sets.
Result<anthropic::MessagesCall> make_ready(const Gateway& gateway,
                                           Result<anthropic::MessagesCall> call) {
    if (!call) return call;
    TRY_VOID(gateway.directory.name_only_one(call->request.model, "completion"));
    const auto view = gateway.directory.view();
    const models::Model* model = view->find(call->request.model);
    // What a server elsewhere can do it says itself.
    if (model != nullptr && model->home != models::Home::Elsewhere) {
        TRY_VOID(anthropic::check_capabilities(*call, *model));
    }
    if (model != nullptr && model->gguf) api::apply_model_defaults(*model->gguf, call->request);
    return call;
}

// What the head says of the dialect: which version of it, and what of it is not for everybody yet.
using Fields = std::vector<std::pair<std::string, std::string>>;
Result<Fields> read_fields(const http::Request& request) {
    Fields fields;
    std::size_t bytes = 0;
    for (const auto& [name, value] : request.headers.all()) {
        for (const std::string_view known : {"anthropic-version", "anthropic-beta"}) {
            if (!http::equal_ignoring_case(name, known)) continue;
            bytes += value.size();
            const bool sound = bytes <= kFieldsBytesMax && std::ranges::all_of(value, [](char c) {
                                   return c >= ' ' && c < '\x7f';
                               });
            if (!sound) {
                return fail({.code = Code::InvalidArgument,
                             .message = format("{} must be at most {} bytes of ASCII", known,
                                               kFieldsBytesMax),
                             .param = std::string(known)});
            }
            fields.emplace_back(known, value);
        }
    }
    return fields;
}

// Null where the call cannot travel as its caller wrote it: Anthropic's servers would refuse the
// thinking of models of ours, which a translation leaves out.
Result<std::shared_ptr<const inference::Original>> original_of(const anthropic::MessagesCall& call,
                                                               http::Exchange& exchange) {
    TRY(Fields fields, read_fields(exchange.request()));
    if (call.has_own_thinking) return nullptr;
    return std::make_shared<const inference::Original>(
        inference::Original{.dialect = inference::Dialect::AnthropicMessages,
                            .body = exchange.take_request().body,
                            .stream = call.stream,
                            .headers = std::move(fields)});
}

Awaitable<Result<api::Reply>> count(const Gateway& gateway, std::string_view body) {
    CO_TRY(auto call, make_ready(gateway, anthropic::parse_count_tokens(body)));
    inference::InquiryRequest request{.model = std::move(call.request.model),
                                      .inquiry = inference::Inquiry::CountTokens,
                                      .body = std::move(call.request.body)};
    CO_TRY(const auto counted,
           co_await gateway.serve.inquire(std::move(request),
                                          Deadline::after(gateway.config.server.request_time)));
    co_return anthropic::encode_count(counted);
}

Result<api::Reply> list_models(const Gateway& gateway, std::string_view query) {
    anthropic::Page page{.after_id = http::query_value(query, "after_id"),
                         .before_id = http::query_value(query, "before_id")};
    TRY(page.limit, anthropic::parse_limit(http::query_value(query, "limit")));
    return anthropic::encode_models(gateway.directory.view()->models, page);
}

Result<api::Reply> show_model(const Gateway& gateway, std::string_view name) {
    const auto model = gateway.directory.find(name);
    if (!model) return fail(unknown_model(name));
    return anthropic::encode_model(*model);
}

}  // namespace

bool speaks_anthropic(const http::Request& request) {
    return request.path == "/v1/messages" || request.path.starts_with("/v1/messages/") ||
           request.headers.find("anthropic-version").has_value();
}

Awaitable<void> anthropic_messages(const Gateway& gateway, http::Exchange& exchange) {
    auto call = make_ready(gateway, anthropic::parse_messages(exchange.request().body));
    if (!call) {
        co_await send_reply(exchange, std::unexpected(std::move(call).error()));
        co_return;
    }
    pipeline::Caller caller = *caller_of(exchange.request());
    auto original = original_of(*call, exchange);
    if (!original) {
        co_await send_reply(exchange, std::unexpected(std::move(original).error()));
        co_return;
    }
    call->request.original = *std::move(original);
    const std::string request_id = new_request_id();
    const auto writer = anthropic::make_writer(
        *call, call->request.model, {.message_id = unique_id("msg_"), .request_id = request_id});
    EncodeError encode_error = [request_id](const Error& error) {
        return anthropic::encode_error(error, request_id);
    };
    co_await generate(gateway, exchange, std::move(call->request), std::move(caller), *writer,
                      std::move(encode_error), nullptr, request_id);
}

Awaitable<void> anthropic_count_tokens(const Gateway& gateway, http::Exchange& exchange) {
    auto counted = co_await count(gateway, exchange.request().body);
    co_await send_reply(exchange, std::move(counted));
}

Awaitable<void> anthropic_models(const Gateway& gateway, http::Exchange& exchange) {
    co_await send_reply(exchange, list_models(gateway, exchange.request().query));
}

Awaitable<void> anthropic_model(const Gateway& gateway, http::Exchange& exchange) {
    const std::string name = exchange.request().path.substr(kModels.size());
    co_await send_reply(exchange, show_model(gateway, name));
}

}  // namespace hearth::server
