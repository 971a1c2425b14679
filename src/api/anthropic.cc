#include "api/anthropic.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>

#include "api/json_body.h"
#include "api/json_text.h"
#include "base/format.h"

namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;

constexpr std::size_t kPageMax = 1000;

struct ErrorKind {
    int status;
    std::string_view type;
};

ErrorKind error_kind(Code code) {
    switch (code) {
        case Code::InvalidArgument:
        case Code::Unsupported: return {400, "invalid_request_error"};
        case Code::Unauthenticated: return {401, "authentication_error"};
        case Code::BudgetExhausted: return {402, "billing_error"};
        case Code::Forbidden: return {403, "permission_error"};
        case Code::NotFound: return {404, "not_found_error"};
        case Code::TooLarge: return {413, "request_too_large"};
        case Code::RateLimited: return {429, "rate_limit_error"};
        case Code::Cancelled: return {499, "api_error"};
        case Code::Internal: return {500, "api_error"};
        case Code::BadUpstream: return {502, "api_error"};
        case Code::Unavailable: return {503, "api_error"};
        case Code::DeadlineExceeded: return {504, "timeout_error"};
        case Code::Overloaded: return {529, "overloaded_error"};
    }
    return {500, "api_error"};
}

// Agents look for these words to know that they should shorten the conversation.
std::string message_of(const Error& error) {
    if (error.reason != "context_length_exceeded" || error.limit == 0) return error.message;
    return format("prompt is too long: {} tokens > {} maximum. {}", error.amount, error.limit,
                  error.message);
}

std::optional<std::chrono::seconds> wait_before_retry(const Error& error, int status) {
    using std::chrono::seconds;
    const bool is_temporary = status == 429 || status == 503 || status == 529;
    // What an upstream that failed said itself is passed on.
    const bool may_be_told = is_temporary || status == 502;
    if (!may_be_told || (!error.retry_after && !is_temporary)) return std::nullopt;
    if (!error.retry_after) return seconds(1);
    return std::max(seconds(1), std::chrono::ceil<seconds>(*error.retry_after));
}

void append_model(std::string& out, const models::Model& model) {
    out += R"({"type":"model","lifecycle":"active","id":)";
    append_text(out, model.name);
    out += R"(,"display_name":)";
    append_text(out, model.name);
    out += R"(,"created_at":")";
    append_time(out, model.modified_unix_ns);
    out += R"(","max_input_tokens":)";
    append_integer(out, std::uint64_t{model.context_length});
    out += '}';
}

// The models of a page, and whether there are more in the direction asked for.
struct Cut {
    std::span<const models::Model> models;
    bool has_more = false;
};

Cut cut_page(std::span<const models::Model> models, const Page& page) {
    const auto position = [&](const std::string& id) {
        const auto found = std::ranges::find(models, id, &models::Model::name);
        return static_cast<std::size_t>(found - models.begin());
    };
    if (!page.before_id.empty()) {
        const auto before = models.first(position(page.before_id));
        const std::size_t count = std::min(page.limit, before.size());
        return {.models = before.last(count), .has_more = count < before.size()};
    }
    const std::size_t begin =
        page.after_id.empty() ? 0 : std::min(position(page.after_id) + 1, models.size());
    const auto rest = models.subspan(begin);
    const std::size_t count = std::min(page.limit, rest.size());
    return {.models = rest.first(count), .has_more = count < rest.size()};
}

}  // namespace

Reply encode_error(const Error& error, std::string_view request_id) {
    const ErrorKind kind = error_kind(error.code);
    Reply answer{.status = kind.status, .retry_after = wait_before_retry(error, kind.status)};
    std::string& out = answer.body;
    out += R"({"type":"error","error":{"type":)";
    append_text(out, kind.type);
    out += R"(,"message":)";
    append_text(out, message_of(error));
    out += R"(},"request_id":)";
    append_text_or_null(out, request_id);
    out += '}';
    return answer;
}

Result<std::size_t> parse_limit(std::string_view text) {
    if (text.empty()) return kPageMax;
    std::size_t limit = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), limit);
    const bool whole = read.ec == std::errc{} && read.ptr == text.data() + text.size();
    if (whole && limit >= 1 && limit <= kPageMax) return limit;
    return fail(must_be("limit", format("a whole number from 1 to {}", kPageMax)));
}

Reply encode_models(std::span<const models::Model> models, const Page& page) {
    const Cut cut = cut_page(models, page);
    Reply answer{.body = R"({"data":[)"};
    std::string& out = answer.body;
    for (const models::Model& model : cut.models) {
        if (&model != cut.models.data()) out += ',';
        append_model(out, model);
    }
    out += format(R"(],"has_more":{},"first_id":)", cut.has_more);
    append_text_or_null(out, cut.models.empty() ? "" : cut.models.front().name);
    out += R"(,"last_id":)";
    append_text_or_null(out, cut.models.empty() ? "" : cut.models.back().name);
    out += '}';
    return answer;
}

Reply encode_model(const models::Model& model) {
    Reply answer;
    append_model(answer.body, model);
    return answer;
}

Result<Reply> encode_count(const json::object& counted) {
    const json::value* tokens = find(counted, "input_tokens");
    if (tokens == nullptr || !tokens->is_int64() || tokens->get_int64() < 0) {
        return fail(Code::BadUpstream, "the engine did not say how many tokens there are");
    }
    Reply answer{.body = R"({"input_tokens":)"};
    append_integer(answer.body, tokens->get_int64());
    answer.body += '}';
    return answer;
}

}  // namespace hearth::api::anthropic
