#include "api/ollama.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "api/embed_body.h"
#include "api/json_text.h"
#include "api/status.h"
#include "base/format.h"

namespace hearth::api::ollama {
namespace {

using inference::EmbedReply;
using inference::EmbedRequest;
using inference::Overflow;
using std::chrono::milliseconds;

constexpr std::array<std::string_view, 6> kEmbedMembers = {"model",      "name",    "truncate",
                                                           "dimensions", "options", "keep_alive"};
constexpr std::array<std::string_view, 3> kShowMembers = {"model", "name", "verbose"};
constexpr milliseconds kForEver{-1};
// Longer than this is for ever: a Go duration ends after 292 years.
constexpr double kLongestMs = 292.0 * 365 * 24 * 3600 * 1000;

Result<std::string> read_model_name(const Body& body) {
    TRY(std::string model, body.text("model"));
    if (!model.empty()) return model;
    TRY(model, body.text("name"));
    if (model.empty()) return fail(bad_member("model", "model is required"));
    return model;
}

milliseconds keep_for(double ms) {
    if (ms < 0 || ms > kLongestMs) return kForEver;
    return milliseconds(static_cast<std::int64_t>(std::ceil(ms)));
}

Result<std::optional<milliseconds>> read_keep_alive(const Body& body) {
    const Scalar* value = body.find("keep_alive");
    if (value == nullptr) return std::optional<milliseconds>();
    if (const auto* seconds = std::get_if<std::int64_t>(value)) {
        return std::optional(keep_for_seconds(static_cast<double>(*seconds)));
    }
    if (const auto* seconds = std::get_if<double>(value)) {
        return std::optional(keep_for_seconds(*seconds));
    }
    if (const auto* text = std::get_if<std::string>(value)) {
        if (auto duration = parse_duration(*text)) return std::optional(*duration);
    }
    return fail(wrong_member(
        "keep_alive", "a duration like \"5m\" or \"1h30m\", or a number of seconds", *value));
}

// What /api/embed and /api/embeddings share. The options of the runner do not change a vector here.
Result<EmbedRequest> read_common(const Body& body) {
    EmbedRequest request;
    TRY(request.model, read_model_name(body));
    TRY(request.keep_alive, read_keep_alive(body));
    request.overflow = Overflow::CutRight;
    const Scalar* options = body.find("options");
    if (options != nullptr && !std::holds_alternative<Object>(*options)) {
        return fail(wrong_member("options", "an object", *options));
    }
    return request;
}

// A single empty text asks for the model to be loaded.
void take_inputs(Body& body, EmbedRequest& request) {
    request.inputs = std::move(body.inputs);
    if (body.shape == Body::Shape::Text && std::get<std::string>(request.inputs[0]).empty()) {
        request.inputs.clear();
    }
}

struct Unit {
    std::string_view name;
    double ms;
};
constexpr std::array<Unit, 7> kUnits = {{{"ns", 1e-6},
                                         {"us", 1e-3},
                                         {"\xC2\xB5s", 1e-3},
                                         {"ms", 1},
                                         {"s", 1e3},
                                         {"m", 60e3},
                                         {"h", 3600e3}}};

// Takes one number and its unit off the front. nullopt when there is none.
std::optional<double> take_term(std::string_view& text) {
    double value = 0;
    double scale = 1;
    bool digits = false;
    bool fraction = false;
    while (!text.empty()) {
        const char c = text.front();
        if (c == '.' && !fraction) {
            fraction = true;
        } else if (c >= '0' && c <= '9') {
            digits = true;
            value = value * 10 + (c - '0');
            if (fraction) scale *= 10;
        } else {
            break;
        }
        text.remove_prefix(1);
    }
    std::size_t length = text.find_first_of(".0123456789");
    if (length == std::string_view::npos) length = text.size();
    const auto unit = std::ranges::find(kUnits, text.substr(0, length), &Unit::name);
    if (!digits || unit == kUnits.end()) return std::nullopt;
    text.remove_prefix(length);
    return value / scale * unit->ms;
}

}  // namespace

milliseconds keep_for_seconds(double seconds) { return keep_for(seconds * 1000); }

Result<milliseconds> parse_duration(std::string_view text) {
    constexpr std::size_t kBytesMax = 64;
    const auto wrong = [&] {
        return fail(
            Code::InvalidArgument,
            format("\"{}\" is not a duration like \"5m\" or \"1h30m\"", text.substr(0, kBytesMax)));
    };
    std::string_view rest = text.size() <= kBytesMax ? text : std::string_view{};
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);
    if (rest == "0") return milliseconds(0);
    if (rest.empty()) return wrong();
    double total = 0;
    while (!rest.empty()) {
        const auto term = take_term(rest);
        if (!term) return wrong();
        total += *term;
    }
    return keep_for(negative ? -total : total);
}

Result<EmbedRequest> parse_embed(std::string_view text) {
    TRY(Body body, read_body(text, {.input = "input", .members = kEmbedMembers}));
    TRY(EmbedRequest request, read_common(body));
    TRY(const bool truncate, body.flag("truncate", true));
    if (!truncate) request.overflow = Overflow::Refuse;
    TRY(request.dimensions, body.count("dimensions", 0));
    if (request.dimensions == 0) request.dimensions.reset();  // as a Go client sends an unset one
    take_inputs(body, request);
    return request;
}

Result<EmbedRequest> parse_embeddings(std::string_view text) {
    TRY(Body body, read_body(text, {.input = "prompt", .members = kEmbedMembers}));
    if (body.shape == Body::Shape::List) {
        return fail(bad_member("prompt", "prompt must be a string; /api/embed takes a list"));
    }
    TRY(EmbedRequest request, read_common(body));
    take_inputs(body, request);
    return request;
}

Result<ShowCall> parse_show(std::string_view text) {
    TRY(const Body body, read_body(text, {.members = kShowMembers}));
    ShowCall call;
    TRY(call.model, read_model_name(body));
    TRY(call.verbose, body.flag("verbose", false));
    return call;
}

Reply encode_embed(const EmbedReply& reply, std::string_view model,
                   std::chrono::nanoseconds total) {
    Reply answer;
    std::string& out = answer.body;
    out.reserve(256 + reply.vectors.size() * 14);
    out += R"({"model":)";
    append_text(out, model);
    out += R"(,"embeddings":[)";
    const std::span<const float> vectors(reply.vectors);
    for (std::size_t i = 0; i < reply.tokens.size(); ++i) {
        if (i > 0) out += ',';
        append_vector(out, vectors.subspan(i * reply.dimension, reply.dimension));
    }
    out += R"(],"total_duration":)";
    append_integer(out, static_cast<std::int64_t>(total.count()));
    out += R"(,"load_duration":)";
    append_integer(out, static_cast<std::int64_t>(reply.load_time.count()));
    const auto tokens = std::accumulate(reply.tokens.begin(), reply.tokens.end(), std::uint64_t{0});
    // No text has none: the backend has not told.
    if (tokens > 0 || reply.tokens.empty()) {
        out += R"(,"prompt_eval_count":)";
        append_integer(out, tokens);
    }
    out += '}';
    return answer;
}

// The one place where a client is promised 64-bit values.
Reply encode_embeddings(const EmbedReply& reply) {
    Reply answer{.body = R"({"embedding":[)"};
    const std::size_t count = std::min(reply.dimension, reply.vectors.size());
    for (std::size_t i = 0; i < count; ++i) {
        if (i > 0) answer.body += ',';
        append_number(answer.body, static_cast<double>(reply.vectors[i]));
    }
    answer.body += "]}";
    return answer;
}

Reply encode_version(std::string_view version) {
    Reply answer{.body = R"({"version":)"};
    append_text(answer.body, version);
    answer.body += '}';
    return answer;
}

Reply encode_alive() {
    return {.content_type = "text/plain; charset=utf-8", .body = "Ollama is running"};
}

Reply encode_error(const Error& error) {
    const int status = http_status(error.code);
    Reply answer{.status = status, .retry_after = retry_after(error, status)};
    answer.body += R"({"error":)";
    append_text(answer.body, error.message);
    answer.body += '}';
    return answer;
}

}  // namespace hearth::api::ollama
