#include "api/fim.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "api/bare_text.h"
#include "api/json_body.h"
#include "api/json_text.h"
#include "api/openai.h"
#include "base/format.h"

namespace hearth::api::fim {
namespace {

namespace json = boost::json;
using inference::GenerateReply;

constexpr double kWholeMax = 2147483647;
constexpr std::size_t kAnswerBytesMax = 64 << 20;

constexpr std::array kMembers = {
    Member{"model", Kind::Text},
    Member{"prompt", Kind::Text},
    Member{"suffix", Kind::Text},
    Member{"temperature", Kind::Number, 0, 100},
    Member{"top_p", Kind::Number, 0, 1},
    Member{"max_tokens", Kind::Whole, 1, kWholeMax},
    Member{"min_tokens", Kind::Whole, 0, kWholeMax},
    Member{"random_seed", Kind::Whole, 0, 9e15},
    Member{"stream", Kind::Flag},
    Member{"metadata", Kind::Object},
    Member{"input_extra", Kind::List},
};
// Of them and of their like in this API what no engine knows, or knows by another name.
constexpr std::array kTaken = {"model",    "prompt",     "suffix",        "max_tokens",
                               "metadata", "min_tokens", "random_seed",   "stream",
                               "n",        "n_cmpl",     "stream_options"};

// An engine stops where the model ends, or never: there is nothing between.
Result<void> take_lengths(const json::object& body, json::object& to) {
    const json::value* most = find(body, "max_tokens");
    const json::value* least = find(body, "min_tokens");
    if (most != nullptr) to["n_predict"] = *most;
    if (least == nullptr || least->to_number<double>() == 0) return {};
    if (most != nullptr && most->to_number<double>() == least->to_number<double>()) {
        to["ignore_eos"] = true;
        return {};
    }
    return fail({.code = Code::Unsupported,
                 .message = "min_tokens can be 0 or equal to max_tokens here: an engine cannot be "
                            "held up for a while",
                 .param = "min_tokens"});
}

class Writer final : public AnswerWriter {
  public:
    Writer(bool stream, std::string model, Stamp stamp)
        : stream_(stream),
          head_{{"id", std::move(stamp.id)},
                {"object", stream ? "chat.completion.chunk" : "chat.completion"},
                {"created", stamp.created_unix},
                {"model", std::move(model)}} {}

    bool streams() const override { return stream_; }
    std::string_view content_type() const override {
        return stream_ ? "text/event-stream" : "application/json";
    }
    Result<void> event(json::object event, std::string& out) override {
        inference::note_usage(event, usage_);
        if (const std::string type = text_of(event, "stop_type"); !type.empty()) {
            reason_ = type == "limit" ? "length" : "stop";
        }
        const std::string text = text_of(event, "content");
        if (stream_) {
            if (!text.empty()) append_chunk(text, nullptr, out);
            return {};
        }
        text_ += text;
        if (text_.size() <= kAnswerBytesMax) return {};
        return fail(Code::TooLarge,
                    format("the answer is over {} bytes; ask for it as a stream", kAnswerBytesMax));
    }
    void alive(std::string& out) override {
        if (stream_) out += ": \n\n";
    }
    void finish(const GenerateReply& reply, std::string& out) override {
        if (!usage_.prompt_tokens) usage_.prompt_tokens = reply.usage.prompt_tokens;
        if (!usage_.completion_tokens) usage_.completion_tokens = reply.usage.completion_tokens;
        if (stream_) {
            append_chunk("", json::value(reason_), out);
            out += "data: [DONE]\n\n";
            return;
        }
        json::object answer = head_;
        json::object message{{"role", "assistant"}, {"content", text_}, {"tool_calls", nullptr}};
        answer["choices"] = json::array(
            1, json::object{
                   {"index", 0}, {"message", std::move(message)}, {"finish_reason", reason_}});
        // Clients of this API require the member, but nothing in it.
        answer["usage"] = counted();
        append_json(out, answer);
    }
    void error(const Error& error, std::string& out) override {
        const std::string body = openai::encode_error(error).body;
        out += stream_ ? format("data: {}\n\n", body) : body;
    }

  private:
    // As far as the backend has told.
    json::object counted() const {
        json::object counted;
        const auto& in = usage_.prompt_tokens;
        const auto& made = usage_.completion_tokens;
        if (in) counted["prompt_tokens"] = *in;
        if (made) counted["completion_tokens"] = *made;
        if (in && made) counted["total_tokens"] = *in + *made;
        return counted;
    }
    // `reason` null: there is more to come.
    void append_chunk(std::string_view text, const json::value& reason, std::string& out) {
        json::object delta{{"content", text}};
        if (!std::exchange(begun_, true)) delta["role"] = "assistant";
        json::object chunk = head_;
        chunk["choices"] = json::array(
            1, json::object{{"index", 0}, {"delta", std::move(delta)}, {"finish_reason", reason}});
        json::object usage = reason.is_null() ? json::object() : counted();
        if (!usage.empty()) chunk["usage"] = std::move(usage);
        out += "data: ";
        append_json(out, chunk);
        out += "\n\n";
    }

    const bool stream_;
    const json::object head_;
    inference::Usage usage_;
    std::string text_;
    std::string reason_ = "stop";
    bool begun_ = false;
};

}  // namespace

Result<Call> parse(std::string_view text) {
    TRY(json::object body, read_object(text));
    TRY_VOID(check_members(body, kMembers));
    TRY_VOID(take_chat_words(body, "/v1/chat/completions"));
    TRY_VOID(check_stop(body));
    const json::value* prompt = find(body, "prompt");
    if (prompt == nullptr) return fail(must_be("prompt", "a string, and is required"));
    Call call;
    call.request.operation = inference::Operation::Infill;
    call.request.model = text_of(body, "model");
    call.stream = flag_at(body, "stream");
    json::object& to = call.request.body;
    for (const auto& [name, value] : body) {
        if (!value.is_null()) to[name] = value;
    }
    for (const char* name : kTaken) to.erase(name);
    to["input_prefix"] = *prompt;
    to["input_suffix"] = text_of(body, "suffix");
    TRY_VOID(take_lengths(body, to));
    if (const json::value* seed = find(body, "random_seed")) to["seed"] = *seed;
    return call;
}

std::unique_ptr<AnswerWriter> make_writer(const Call& call, std::string model, Stamp stamp) {
    return std::make_unique<Writer>(call.stream, std::move(model), std::move(stamp));
}

}  // namespace hearth::api::fim
