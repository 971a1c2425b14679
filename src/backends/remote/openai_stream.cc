#include "backends/remote/openai_stream.h"

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <utility>

#include "backends/remote/chunks.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"
#include "http/event_stream.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;
using inference::Usage;

// The lists of /v1/completions as the one list that a chat has:
// {tokens, token_logprobs, top_logprobs} to {content: [{token, logprob, top_logprobs}]}.
json::array content_of_lists(const json::object& logprobs) {
    json::array content;
    const json::array* tokens = list_at(logprobs, "tokens");
    const json::array* numbers = list_at(logprobs, "token_logprobs");
    const json::array* tops = list_at(logprobs, "top_logprobs");
    if (tokens == nullptr) return content;
    for (std::size_t i = 0; i < tokens->size(); ++i) {
        json::object entry{{"token", (*tokens)[i]}};
        if (numbers != nullptr && i < numbers->size()) entry["logprob"] = (*numbers)[i];
        json::array alternatives;
        const json::object* top =
            tops != nullptr && i < tops->size() ? (*tops)[i].if_object() : nullptr;
        if (top != nullptr) {
            for (const auto& [token, number] : *top) {
                alternatives.push_back({{"token", token}, {"logprob", number}});
            }
        }
        entry["top_logprobs"] = std::move(alternatives);
        content.push_back(std::move(entry));
    }
    return content;
}

void unify_logprobs(json::object& choice) {
    const json::object* logprobs = object_at(choice, "logprobs");
    if (logprobs == nullptr || logprobs->contains("content")) return;
    json::array content = content_of_lists(*logprobs);
    choice["logprobs"] = json::object{{"content", std::move(content)}};
}

// vLLM and Ollama say "reasoning"; canonical is "reasoning_content".
void unify_reasoning(json::object& delta) {
    const json::value* reasoning = find(delta, "reasoning");
    if (reasoning == nullptr || !reasoning->is_string()) return;
    // Copied first: a new member may move all others.
    json::value text = *reasoning;
    if (find(delta, "reasoning_content") == nullptr) delta["reasoning_content"] = std::move(text);
    delta.erase("reasoning");
}

class OpenaiStream final : public WireStream {
  public:
    OpenaiStream(const GenerateRequest& request, Stamp stamp)
        : operation_(request.operation),
          parser_(kEventBytesMax),
          chunks_(request.operation, std::move(stamp)) {}

    Result<void> feed(std::string_view bytes) override {
        return parser_.feed(bytes, [this](const http::Event& event) { return take(event.data); });
    }
    bool is_plain(std::string_view event) const override {
        constexpr std::array<std::string_view, 5> kNews = {"error", "object", "usage", "timings",
                                                           "stop_type"};
        const auto data = http::only_data(event);
        return data && is_object_with(*data, kNews, [](const json::object& news) {
                   return !told_in_stream(news) && find(news, "usage") == nullptr &&
                          find(news, "timings") == nullptr && find(news, "stop_type") == nullptr;
               });
    }
    Result<void> finish() override { return complete_ ? Result<void>() : stream_cut(); }
    bool complete() const override { return complete_; }
    std::vector<json::object> take_events() override {
        return translates() ? chunks_.take() : std::exchange(events_, {});
    }
    const Usage& usage() const override { return usage_; }

  private:
    bool translates() const {
        return operation_ == Operation::Native || operation_ == Operation::Infill;
    }

    Result<void> take(std::string_view data) {
        if (complete_) return {};
        if (data == "[DONE]") {
            complete_ = true;
            if (translates()) chunks_.end(finish_reason_, usage_);
            return {};
        }
        TRY(json::object event, read_answer(data));
        if (const auto told = told_in_stream(event)) return fail(judge(*told));
        inference::note_usage(event, usage_);
        if (translates()) {
            translate(event);
            return {};
        }
        TRY_VOID(unify(event));
        events_.push_back(std::move(event));
        return {};
    }

    Result<void> unify(json::object& event) {
        json::value* choices = event.if_contains("choices");
        if (choices == nullptr || !choices->is_array()) return {};
        for (json::value& choice : choices->get_array()) {
            if (!choice.is_object()) return wrong_form("a choice is no object");
            if (operation_ == Operation::Completion) unify_logprobs(choice.get_object());
            json::value* delta = choice.get_object().if_contains("delta");
            if (delta == nullptr || !delta->is_object()) continue;
            unify_reasoning(delta->get_object());
            const auto number = count_at(choice.get_object(), "index").value_or(0);
            TRY_VOID(number_calls(delta->get_object(), number));
        }
        return {};
    }

    // Some servers leave the number of a call out: a new one then starts where a name stands.
    Result<void> number_calls(json::object& delta, std::uint64_t choice) {
        json::value* calls = delta.if_contains("tool_calls");
        if (calls == nullptr || !calls->is_array()) return {};
        for (json::value& call : calls->get_array()) {
            if (!call.is_object()) return wrong_form("a tool call is no object");
            const auto index = count_at(call.get_object(), "index");
            if (index && *index >= kToolCallsMax) return too_many_calls();
            if (index) continue;
            const json::object* function = object_at(call.get_object(), "function");
            const bool starts = function != nullptr && !text_at(*function, "name").empty();
            TRY(call.get_object()["index"], number_of_call(choice, starts));
        }
        return {};
    }

    Result<std::uint64_t> number_of_call(std::uint64_t choice, bool starts) {
        const auto [found, is_new] = calls_.try_emplace(choice, 0);
        if (calls_.size() > kToolCallsMax) return too_many_calls();
        if (starts && ++found->second > kToolCallsMax) return too_many_calls();
        return found->second == 0 ? 0 : found->second - 1;
    }

    void translate(const json::object& event) {
        const json::array* choices = list_at(event, "choices");
        if (choices == nullptr || choices->empty() || !choices->front().is_object()) return;
        json::object choice = choices->front().get_object();
        unify_logprobs(choice);
        json::array content;
        if (const json::object* logprobs = object_at(choice, "logprobs")) {
            if (const json::array* list = list_at(*logprobs, "content")) content = *list;
        }
        chunks_.text(text_at(choice, "text"), std::move(content));
        const std::string_view reason = text_at(choice, "finish_reason");
        if (!reason.empty()) finish_reason_ = reason == "length" ? "length" : "stop";
    }

    const Operation operation_;
    http::EventStreamParser parser_;
    Chunks chunks_;
    std::vector<json::object> events_;
    std::map<std::uint64_t, std::uint64_t> calls_;  // calls seen without a number, by choice
    Usage usage_;
    std::string_view finish_reason_ = "stop";
    bool complete_ = false;
};

}  // namespace

std::unique_ptr<WireStream> make_openai_stream(const GenerateRequest& request, Stamp stamp) {
    return std::make_unique<OpenaiStream>(request, std::move(stamp));
}

}  // namespace hearth::remote
