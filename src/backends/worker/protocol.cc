#include "backends/worker/protocol.h"

#include <algorithm>
#include <bit>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/format.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

constexpr std::uint8_t kNormalize = 1;
constexpr std::size_t kTimeLeftOffset = 4;
constexpr std::size_t kContentOffset = 8;
constexpr std::size_t kCallHeaderBytes = 24;

enum class InputKind : std::uint8_t { Text = 0, Ids = 1 };

template <class T>
void append(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <class T>
void put(std::string& out, std::size_t offset, T value) {
    CHECK(offset + sizeof(value) <= out.size());
    std::memcpy(out.data() + offset, &value, sizeof(value));
}

// Reads values off the front of foreign bytes; after the first shortfall everything reads as zero.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}

    template <class T>
    T take() {
        T value{};
        const std::string_view bytes = take_bytes(sizeof(T));
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
        return value;
    }
    std::string_view take_bytes(std::size_t count) {
        if (short_ || count > rest_.size()) {
            short_ = true;
            return {};
        }
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }
    template <class T>
    std::vector<T> take_array(std::size_t count) {
        if (count > rest_.size() / sizeof(T)) short_ = true;
        if (short_) return {};
        std::vector<T> values(count);
        const std::string_view bytes = take_bytes(count * sizeof(T));
        if (count > 0) std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    bool cut() const { return short_; }
    bool done() const { return !short_ && rest_.empty(); }
    std::size_t left() const { return rest_.size(); }

  private:
    std::string_view rest_;
    bool short_ = false;
};

std::unexpected<Error> malformed(std::string_view what, std::string_view why) {
    return fail(Code::BadUpstream, format("malformed {}: {}", what, why));
}

std::uint32_t clamp_to_u32(std::int64_t value) {
    return static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(value, 0, std::numeric_limits<std::uint32_t>::max()));
}

void append_input(std::string& out, const inference::EmbedInput& input) {
    if (const auto* text = std::get_if<std::string>(&input)) {
        append(out, InputKind::Text);
        append(out, static_cast<std::uint32_t>(text->size()));
        out += *text;
        return;
    }
    const auto& ids = std::get<inference::TokenIds>(input);
    append(out, InputKind::Ids);
    append(out, static_cast<std::uint32_t>(ids.size()));
    out.append(reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(ids[0]));
}

std::size_t input_bytes(const inference::EmbedInput& input) {
    if (const auto* text = std::get_if<std::string>(&input)) return text->size();
    return std::get<inference::TokenIds>(input).size() * sizeof(std::int32_t);
}

Result<inference::EmbedInput> take_input(Reader& reader) {
    const auto kind = reader.take<std::uint8_t>();
    const auto size = reader.take<std::uint32_t>();
    if (kind == std::to_underlying(InputKind::Text)) {
        return inference::EmbedInput(std::string(reader.take_bytes(size)));
    }
    if (kind == std::to_underlying(InputKind::Ids)) {
        return inference::EmbedInput(reader.take_array<std::int32_t>(size));
    }
    return malformed("call", format("input kind {}", kind));
}

Result<json::object> parse_object(std::string_view text, std::string_view what) {
    boost::system::error_code error;
    json::value value = json::parse(text, error, {}, {.max_depth = 4});
    if (error || !value.is_object()) return malformed(what, "not a JSON object");
    return std::move(value.as_object());
}

std::uint64_t number(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr) return 0;
    if (value->is_uint64()) return value->get_uint64();
    if (value->is_int64() && value->get_int64() > 0) {
        return static_cast<std::uint64_t>(value->get_int64());
    }
    return 0;
}

std::string text_of(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_string()) return {};
    return std::string(value->get_string());
}

std::chrono::milliseconds milliseconds_of(const json::object& object, std::string_view name) {
    constexpr std::uint64_t kMax = 1'000'000'000'000;
    return std::chrono::milliseconds(std::min(number(object, name), kMax));
}

std::optional<Code> parse_code(std::string_view name) {
    for (auto code = Code::InvalidArgument;;
         code = static_cast<Code>(std::to_underlying(code) + 1)) {
        if (to_string(code) == name) return code;
        if (code == Code::Internal) return std::nullopt;
    }
}

}  // namespace

std::string encode_call(const Call& call) {
    const inference::EmbedRequest& request = call.request;
    CHECK(request.inputs.size() <= kInputsMax);
    CHECK(request.prompt_name.size() <= kPromptNameBytesMax);
    std::size_t bytes = kCallHeaderBytes + request.prompt_name.size() + 4;
    for (const auto& input : request.inputs) bytes += 5 + input_bytes(input);
    std::string out;
    out.reserve(bytes);
    append(out, std::uint32_t{kProtocolVersion});
    append(out, clamp_to_u32(call.time_left.count()));
    append(out, std::to_underlying(request.overflow));
    append(out, request.normalize ? kNormalize : std::uint8_t{0});
    append(out, static_cast<std::uint16_t>(request.prompt_name.size()));
    append(out, static_cast<std::uint32_t>(request.dimensions.value_or(0)));
    append(out, static_cast<std::uint64_t>(request.tokens_max));
    out += request.prompt_name;
    append(out, static_cast<std::uint32_t>(request.inputs.size()));
    for (const auto& input : request.inputs) append_input(out, input);
    return out;
}

Result<Call> decode_call(std::string_view bytes) {
    Reader reader(bytes);
    Call call;
    inference::EmbedRequest& request = call.request;
    const auto version = reader.take<std::uint8_t>();
    if (version != kProtocolVersion) return malformed("call", format("version {}", version));
    reader.take_bytes(3);
    call.time_left = std::chrono::milliseconds(reader.take<std::uint32_t>());
    const auto overflow = reader.take<std::uint8_t>();
    if (overflow > std::to_underlying(inference::Overflow::CutLeft)) {
        return malformed("call", format("overflow rule {}", overflow));
    }
    request.overflow = static_cast<inference::Overflow>(overflow);
    request.normalize = (reader.take<std::uint8_t>() & kNormalize) != 0;
    const auto prompt_bytes = reader.take<std::uint16_t>();
    if (prompt_bytes > kPromptNameBytesMax) return malformed("call", "prompt name too long");
    if (const auto dimensions = reader.take<std::uint32_t>(); dimensions > 0) {
        request.dimensions = dimensions;
    }
    request.tokens_max = reader.take<std::uint64_t>();
    request.prompt_name = reader.take_bytes(prompt_bytes);
    const auto count = reader.take<std::uint32_t>();
    if (count > kInputsMax) return malformed("call", format("{} inputs", count));
    for (std::uint32_t i = 0; i < count && !reader.cut(); ++i) {
        TRY(auto input, take_input(reader));
        request.inputs.push_back(std::move(input));
    }
    if (!reader.done()) return malformed("call", reader.cut() ? "cut short" : "bytes left over");
    return call;
}

void set_time_left(std::string& call, std::chrono::milliseconds time_left) {
    put(call, kTimeLeftOffset, clamp_to_u32(time_left.count()));
}

std::string_view content_of(std::string_view call) {
    CHECK(call.size() >= kCallHeaderBytes);
    return call.substr(kContentOffset);
}

std::string make_answer(const AnswerLayout& layout) {
    std::string out(layout.bytes(), '\0');
    put(out, 0, kProtocolVersion);
    put(out, 4, static_cast<std::uint32_t>(layout.texts));
    put(out, 8, static_cast<std::uint32_t>(layout.dimension));
    return out;
}

void set_answer_times(std::string& answer, std::chrono::nanoseconds queue,
                      std::chrono::nanoseconds compute) {
    put(answer, 12, static_cast<std::uint64_t>(queue.count()));
    put(answer, 20, static_cast<std::uint64_t>(compute.count()));
}

void set_answer_tokens(std::string& answer, std::size_t text, std::uint32_t tokens) {
    put(answer, AnswerLayout{}.tokens_offset() + 4 * text, tokens);
}

void set_answer_row(std::string& answer, const AnswerLayout& layout, std::size_t text,
                    std::span<const float> row) {
    CHECK(row.size() == layout.dimension && text < layout.texts);
    std::memcpy(answer.data() + layout.vectors_offset() + 4 * text * layout.dimension, row.data(),
                row.size_bytes());
}

void copy_answer_row(std::string& answer, const AnswerLayout& layout, std::size_t from,
                     std::size_t to) {
    CHECK(from < layout.texts && to < layout.texts);
    if (from == to) return;
    char* const rows = answer.data() + layout.vectors_offset();
    const std::size_t bytes = 4 * layout.dimension;
    std::memcpy(rows + to * bytes, rows + from * bytes, bytes);
}

Result<inference::EmbedReply> decode_answer(std::string_view bytes) {
    Reader reader(bytes);
    const auto version = reader.take<std::uint8_t>();
    if (version != kProtocolVersion) return malformed("answer", format("version {}", version));
    reader.take_bytes(3);
    const auto texts = reader.take<std::uint32_t>();
    inference::EmbedReply reply;
    reply.dimension = reader.take<std::uint32_t>();
    if (texts > kInputsMax || reply.dimension > kDimensionMax) {
        return malformed("answer", format("{} vectors of {}", texts, reply.dimension));
    }
    const auto time = [&] {
        constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
        return std::chrono::nanoseconds(std::min(reader.take<std::uint64_t>(), kMax));
    };
    reply.queue_time = time();
    reply.compute_time = time();
    reply.tokens = reader.take_array<std::uint32_t>(texts);
    reply.vectors = reader.take_array<float>(texts * reply.dimension);
    if (!reader.done()) return malformed("answer", reader.cut() ? "cut short" : "bytes left over");
    return reply;
}

std::string encode_error(const Error& error) {
    json::object object;
    object["code"] = to_string(error.code);
    object["message"] = error.message;
    if (!error.reason.empty()) object["reason"] = error.reason;
    if (!error.param.empty()) object["param"] = error.param;
    if (error.retry_after) object["retry_after_ms"] = error.retry_after->count();
    return json::serialize(object);
}

Result<Error> decode_error(std::string_view text) {
    TRY(const json::object object, parse_object(text, "error"));
    const std::optional<Code> code = parse_code(text_of(object, "code"));
    if (!code) return malformed("error", "unknown code");
    Error error{.code = *code,
                .message = text_of(object, "message"),
                .reason = text_of(object, "reason"),
                .param = text_of(object, "param")};
    if (object.contains("retry_after_ms")) {
        error.retry_after = milliseconds_of(object, "retry_after_ms");
    }
    return error;
}

int status_of(Code code) {
    switch (code) {
        case Code::InvalidArgument: return 400;
        case Code::Unauthenticated: return 401;
        case Code::Forbidden: return 403;
        case Code::NotFound: return 404;
        case Code::TooLarge: return 413;
        case Code::RateLimited:
        case Code::BudgetExhausted: return 429;
        case Code::Unsupported: return 501;
        case Code::BadUpstream: return 502;
        case Code::Overloaded:
        case Code::Cancelled:
        case Code::Unavailable: return 503;
        case Code::DeadlineExceeded: return 504;
        case Code::Internal: return 500;
    }
    return 500;
}

std::string encode_heartbeat(const Heartbeat& heartbeat) {
    return json::serialize(json::object{{"status", "ready"},
                                        {"running_ms", heartbeat.running.count()},
                                        {"queued_texts", heartbeat.queued_texts},
                                        {"queued_tokens", heartbeat.queued_tokens},
                                        {"calls", heartbeat.calls},
                                        {"texts_total", heartbeat.texts_total},
                                        {"tokens_total", heartbeat.tokens_total},
                                        {"batches_total", heartbeat.batches_total}});
}

Result<Heartbeat> decode_heartbeat(std::string_view text) {
    TRY(const json::object object, parse_object(text, "heartbeat"));
    if (text_of(object, "status") != "ready") return malformed("heartbeat", "no status");
    return Heartbeat{.running = milliseconds_of(object, "running_ms"),
                     .queued_texts = number(object, "queued_texts"),
                     .queued_tokens = number(object, "queued_tokens"),
                     .calls = number(object, "calls"),
                     .texts_total = number(object, "texts_total"),
                     .tokens_total = number(object, "tokens_total"),
                     .batches_total = number(object, "batches_total")};
}

std::string encode_info(const WorkerInfo& info) {
    return json::serialize(json::object{{"family", info.family},
                                        {"precision", info.precision},
                                        {"dimension", info.dimension},
                                        {"tokens_max", info.tokens_max},
                                        {"sessions", info.sessions},
                                        {"threads", info.threads},
                                        {"batch_tokens_max", info.batch_tokens_max}});
}

Result<WorkerInfo> decode_info(std::string_view text) {
    TRY(const json::object object, parse_object(text, "info"));
    return WorkerInfo{.family = text_of(object, "family"),
                      .precision = text_of(object, "precision"),
                      .dimension = number(object, "dimension"),
                      .tokens_max = number(object, "tokens_max"),
                      .sessions = number(object, "sessions"),
                      .threads = number(object, "threads"),
                      .batch_tokens_max = number(object, "batch_tokens_max")};
}

}  // namespace hearth::worker
