#include "backends/remote/anthropic_stream.h"

#include <array>
#include <boost/json.hpp>
#include <optional>
#include <utility>

#include "backends/remote/chunks.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/wire_json.h"
#include "http/event_stream.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Usage;

// A turn that pauses for a server's own tool is over for our caller: he can send it on.
std::string_view finish_reason_of(std::string_view stop_reason) {
    if (stop_reason == "max_tokens" || stop_reason == "model_context_window_exceeded") {
        return "length";
    }
    if (stop_reason == "tool_use") return "tool_calls";
    return stop_reason == "refusal" ? "content_filter" : "stop";
}

// A call while it comes. Its input stands in the start where a server sends it whole.
struct OpenCall {
    std::string input;
    bool has_pieces = false;
};

class AnthropicStream final : public WireStream {
  public:
    AnthropicStream(const GenerateRequest& request, Stamp stamp)
        : parser_(kEventBytesMax), chunks_(request.operation, std::move(stamp)) {}

    Result<void> feed(std::string_view bytes) override {
        return parser_.feed(bytes, [this](const http::Event& event) { return take(event.data); });
    }
    bool is_plain(std::string_view event) const override {
        constexpr std::array<std::string_view, 2> kNews = {"type", "error"};
        const auto data = http::only_data(event);
        return data && is_object_with(*data, kNews, [](const json::object& news) {
                   return text_at(news, "type") == "content_block_delta" &&
                          find(news, "error") == nullptr;
               });
    }
    Result<void> finish() override { return complete_ ? Result<void>() : stream_cut(); }
    bool complete() const override { return complete_; }
    std::vector<json::object> take_events() override { return chunks_.take(); }
    const Usage& usage() const override { return usage_; }

  private:
    Result<void> take(std::string_view data) {
        if (complete_) return {};
        TRY(const json::object event, read_answer(data));
        const std::string_view type = text_at(event, "type");
        if (type == "error" || find(event, "error") != nullptr) {
            const auto told = told_in_stream(event);
            return fail(judge(told ? *told : Told{}));
        }
        if (type == "message_start") {
            chunks_.begin();
            if (const json::object* message = object_at(event, "message")) note(*message);
        } else if (type == "content_block_start") {
            if (const auto* block = object_at(event, "content_block")) return begin_block(*block);
        } else if (type == "content_block_delta") {
            if (const auto* delta = object_at(event, "delta")) add(*delta);
        } else if (type == "content_block_stop") {
            end_block();
        } else if (type == "message_delta") {
            note(event);
            if (const auto* delta = object_at(event, "delta"))
                stop_reason_ = text_at(*delta, "stop_reason");
        } else if (type == "message_stop") {
            complete_ = true;
            chunks_.end(finish_reason_of(stop_reason_), usage_);
        }
        return {};  // ping, and what will be added one day
    }

    Result<void> begin_block(const json::object& block) {
        const std::string_view type = text_at(block, "type");
        if (type == "text") chunks_.text(text_at(block, "text"));
        if (type == "thinking") chunks_.reasoning(text_at(block, "thinking"));
        if (type != "tool_use") return {};
        end_block();
        if (calls_ == kToolCallsMax) return too_many_calls();
        chunks_.call(calls_++, text_at(block, "id"), text_at(block, "name"), "");
        open_.emplace();
        const json::object* input = object_at(block, "input");
        open_->input = input != nullptr && !input->empty() ? write_json(*input) : "{}";
        return {};
    }

    void add(const json::object& delta) {
        const std::string_view type = text_at(delta, "type");
        if (type == "text_delta") {
            chunks_.text(text_at(delta, "text"));
        } else if (type == "thinking_delta") {
            chunks_.reasoning(text_at(delta, "thinking"));
        } else if (type == "signature_delta") {
            chunks_.reasoning_signature(text_at(delta, "signature"));
        } else if (type == "input_json_delta" && open_) {
            const std::string_view piece = text_at(delta, "partial_json");
            open_->has_pieces = open_->has_pieces || !piece.empty();
            chunks_.arguments(calls_ - 1, piece);
        }
    }

    void end_block() {
        const auto call = std::exchange(open_, std::nullopt);
        if (call && !call->has_pieces) chunks_.arguments(calls_ - 1, call->input);
    }

    // Counts are of the whole message so far; a later one replaces an earlier.
    void note(const json::object& from) {
        const json::object* usage = object_at(from, "usage");
        if (usage == nullptr) return;
        const auto take_count = [usage](std::string_view name, std::optional<std::uint64_t>& to) {
            if (const auto count = count_at(*usage, name)) to = count;
        };
        take_count("input_tokens", fresh_);
        take_count("cache_read_input_tokens", usage_.cached_tokens);
        take_count("cache_creation_input_tokens", usage_.cache_write_tokens);
        take_count("output_tokens", usage_.completion_tokens);
        if (fresh_) {
            usage_.prompt_tokens =
                *fresh_ + usage_.cached_tokens.value_or(0) + usage_.cache_write_tokens.value_or(0);
        }
    }

    http::EventStreamParser parser_;
    Chunks chunks_;
    Usage usage_;
    std::optional<std::uint64_t> fresh_;  // of the prompt, neither read from a cache nor written
    std::string stop_reason_;
    std::optional<OpenCall> open_;
    std::size_t calls_ = 0;
    bool complete_ = false;
};

}  // namespace

std::unique_ptr<WireStream> make_anthropic_stream(const GenerateRequest& request, Stamp stamp) {
    return std::make_unique<AnthropicStream>(request, std::move(stamp));
}

}  // namespace hearth::remote
