#include "backends/remote/ollama_stream.h"

#include <array>
#include <boost/json.hpp>
#include <chrono>
#include <utility>

#include "backends/remote/chunks.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"
#include "http/event_stream.h"
#include "inference/json.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Usage;

std::optional<std::chrono::nanoseconds> duration_at(const json::object& from,
                                                    std::string_view name) {
    const auto count = count_at(from, name);
    if (!count) return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(*count));
}

class OllamaStream final : public WireStream {
  public:
    OllamaStream(const GenerateRequest& request, Stamp stamp)
        : id_(stamp.id),
          one_call_(!flag_at(request.body, "parallel_tool_calls", true)),
          parser_(kEventBytesMax),
          chunks_(request.operation, std::move(stamp)) {}

    Result<void> feed(std::string_view bytes) override {
        return parser_.feed(bytes, [this](std::string_view line) { return take(line); });
    }
    bool is_plain(std::string_view line) const override {
        constexpr std::array<std::string_view, 3> kNews = {"error", "object", "done"};
        return is_object_with(line, kNews, [](const json::object& news) {
            return !told_in_stream(news) && !flag_at(news, "done");
        });
    }
    Result<void> finish() override {
        if (complete_) return {};
        // The last line may lack its end; half a line is a stream that was cut.
        auto last = parser_.finish([this](std::string_view line) -> Result<void> {
            boost::system::error_code failed;
            const json::value parsed = inference::parse_json(line, failed);
            return failed ? stream_cut() : take(line);
        });
        if (!last) return last;
        return complete_ ? Result<void>() : stream_cut();
    }
    bool complete() const override { return complete_; }
    std::vector<json::object> take_events() override { return chunks_.take(); }
    const Usage& usage() const override { return usage_; }

  private:
    Result<void> take(std::string_view line) {
        if (complete_) return {};
        TRY(const json::object said, read_answer(line));
        if (const auto told = told_in_stream(said)) return fail(judge(*told));
        chunks_.begin();
        const json::object* message = object_at(said, "message");
        if (message != nullptr) chunks_.reasoning(text_at(*message, "thinking"));
        chunks_.reasoning(text_at(said, "thinking"));
        const json::array* logprobs = list_at(said, "logprobs");
        chunks_.text(message != nullptr ? text_at(*message, "content") : text_at(said, "response"),
                     logprobs != nullptr ? *logprobs : json::array());
        if (message != nullptr) TRY_VOID(take_calls(*message));
        if (flag_at(said, "done")) end(said);
        return {};
    }

    // They come whole, and older servers give them no id.
    Result<void> take_calls(const json::object& message) {
        const json::array* calls = list_at(message, "tool_calls");
        if (calls == nullptr) return {};
        for (const json::value& call : *calls) {
            const json::object* function =
                call.is_object() ? object_at(call.get_object(), "function") : nullptr;
            if (function == nullptr) return wrong_form("a tool call has no function");
            // It cannot be told to make one call at most; a caller who asked for that gets one.
            if (one_call_ && calls_ == 1) return {};
            if (calls_ == kToolCallsMax) return too_many_calls();
            std::string id(text_at(call.get_object(), "id"));
            if (id.empty()) id = format("call_{}_{}", id_, calls_);
            const json::value* arguments = find(*function, "arguments");
            std::string text = "{}";
            if (arguments != nullptr) {
                text = arguments->is_string() ? std::string(arguments->get_string())
                                              : write_json(*arguments);
            }
            chunks_.call(calls_++, id, text_at(*function, "name"), text);
        }
        return {};
    }

    void end(const json::object& last) {
        complete_ = true;
        usage_.prompt_tokens = count_at(last, "prompt_eval_count");
        usage_.completion_tokens = count_at(last, "eval_count");
        usage_.prompt_time = duration_at(last, "prompt_eval_duration");
        usage_.completion_time = duration_at(last, "eval_duration");
        std::string_view reason = text_at(last, "done_reason") == "length" ? "length" : "stop";
        if (calls_ > 0 && reason == "stop") reason = "tool_calls";
        chunks_.end(reason, usage_);
    }

    const std::string id_;
    const bool one_call_;
    http::LineParser parser_;
    Chunks chunks_;
    Usage usage_;
    std::size_t calls_ = 0;
    bool complete_ = false;
};

}  // namespace

std::unique_ptr<WireStream> make_ollama_stream(const GenerateRequest& request, Stamp stamp) {
    return std::make_unique<OllamaStream>(request, std::move(stamp));
}

}  // namespace hearth::remote
