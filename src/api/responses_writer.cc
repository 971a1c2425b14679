#include <boost/json.hpp>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "api/json_body.h"
#include "api/json_text.h"
#include "api/openai.h"
#include "api/openai_logprobs.h"
#include "api/responses.h"
#include "base/format.h"
#include "inference/json.h"

namespace hearth::api::responses {
namespace {

namespace json = boost::json;
using inference::GenerateReply;

// Of texts and of the lists beside them: what is streamed is repeated whole at the end.
constexpr std::size_t kAnswerBytesMax = 64 << 20;

enum class ItemKind : std::uint8_t { Reasoning, Message, Call };

constexpr std::string_view kOpen = "in_progress";

// One item of the output.
struct Item {
    ItemKind kind = ItemKind::Message;
    std::string id;
    std::string text;  // of a call: its arguments
    std::string call_id;
    std::string name;
    json::array logprobs;
    std::string_view status = kOpen;
};

std::string_view prefix_of(ItemKind kind) {
    switch (kind) {
        case ItemKind::Reasoning: return "rs";
        case ItemKind::Message: return "msg";
        case ItemKind::Call: return "fc";
    }
    return "";
}

json::object part_of(const Item& item, bool begun) {
    const std::string_view text = begun ? std::string_view(item.text) : std::string_view();
    if (item.kind == ItemKind::Reasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"},
            {"text", text},
            {"annotations", json::array()},
            {"logprobs", begun ? item.logprobs : json::array()}};
}

// `begun` false: as it is announced, before it has anything in it.
json::object object_of(const Item& item, bool begun) {
    json::object out{{"id", item.id}};
    json::array parts;
    if (begun && item.kind != ItemKind::Call) parts.push_back(part_of(item, true));
    switch (item.kind) {
        case ItemKind::Reasoning:
            out["type"] = "reasoning";
            out["summary"] = json::array();
            out["content"] = std::move(parts);
            break;
        case ItemKind::Message:
            out["type"] = "message";
            out["role"] = "assistant";
            out["content"] = std::move(parts);
            break;
        case ItemKind::Call:
            out["type"] = "function_call";
            out["call_id"] = item.call_id;
            out["name"] = item.name;
            out["arguments"] = begun ? std::string_view(item.text) : std::string_view();
            break;
    }
    out["status"] = item.status;
    return out;
}

// This dialect is answered once.
const json::object* first_choice(const json::object& event) {
    const json::array* choices = list_at(event, "choices");
    return choices != nullptr && !choices->empty() ? choices->front().if_object() : nullptr;
}

std::int64_t number_of_call(const json::object& call) {
    const json::value* index = find(call, "index");
    return index != nullptr && index->is_int64() ? index->get_int64() : 0;
}

// All of it or, where the backend did not tell all, nothing: this API has no half.
json::value usage_of(const inference::Usage& usage) {
    if (!usage.prompt_tokens || !usage.completion_tokens) return nullptr;
    const std::uint64_t in = *usage.prompt_tokens;
    const std::uint64_t out = *usage.completion_tokens;
    // Clients require the details too, also where nobody counted: then they are 0.
    return {{"input_tokens", in},
            {"input_tokens_details",
             {{"cached_tokens", usage.cached_tokens.value_or(0)},
              {"cache_write_tokens", usage.cache_write_tokens.value_or(0)}}},
            {"output_tokens", out},
            {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens.value_or(0)}}},
            {"total_tokens", in + out}};
}

// The few words this API has for what failed.
std::string_view failure_of(Code code) {
    if (code == Code::InvalidArgument) return "invalid_prompt";
    const bool is_busy =
        code == Code::RateLimited || code == Code::BudgetExhausted || code == Code::Overloaded;
    return is_busy ? "rate_limit_exceeded" : "server_error";
}

// Whether nothing can follow in the arguments of a call: they are JSON that says itself where it
// ends. What is very long is not looked at.
bool is_complete(const Item& item) {
    constexpr std::size_t kLookedAtBytesMax = 1 << 20;
    if (item.kind != ItemKind::Call || item.text.size() > kLookedAtBytesMax) return false;
    if (!item.text.ends_with('}') && !item.text.ends_with(']')) return false;
    boost::system::error_code failed;
    const json::value parsed = json::parse(item.text, failed);
    return !failed && parsed.is_structured();
}

// The output so far, and the events that tell of it where they are wanted. A text is open until the
// next item begins, a call as long as its arguments can go on: engines may write several calls by
// turns.
class Output {
  public:
    Output(std::string id, bool streams) : id_(std::move(id)), streams_(streams) {}

    // Of the engine's event that comes next; null: it tells of none.
    void time(json::value timings) { timings_ = std::move(timings); }
    void say(ItemKind kind, std::string_view text, json::array logprobs, std::string& out) {
        const bool goes_on = is_open(last_) && items_[last_].kind == kind;
        Item& item = goes_on ? items_[last_] : begin(kind, out);
        item.text += text;
        bytes_ += text.size() + inference::weight_of(logprobs);
        json::object fields = place_in(last_);
        fields["delta"] = text;
        if (kind == ItemKind::Message) fields["logprobs"] = logprobs;
        for (json::value& one : logprobs) item.logprobs.push_back(std::move(one));
        emit_delta(format("response.{}.delta", word_of(kind)), std::move(fields), out);
    }
    // A fragment of a tool call: the first brings its name.
    void call(const json::object& fragment, std::string& out) {
        const json::object* function = object_at(fragment, "function");
        const std::string name = function != nullptr ? text_of(*function, "name") : "";
        const std::string text = function != nullptr ? text_of(*function, "arguments") : "";
        const auto [found, is_new] = calls_.try_emplace(number_of_call(fragment), items_.size());
        if (is_new) begin_call(text_of(fragment, "id"), name, out);
        const std::size_t index = found->second;
        if (!is_open(index)) return;  // nothing that has a meaning follows its end
        if (!is_new) items_[index].name += name;
        if (last_ != index) leave(out);
        last_ = index;
        bytes_ += name.size() + text.size();
        if (text.empty()) return;
        items_[index].text += text;
        json::object fields = place_of(index);
        fields["delta"] = text;
        emit_delta("response.function_call_arguments.delta", std::move(fields), out);
    }
    // All that are open have their end; `status`: of those that were not complete before it.
    void close(std::string_view status, std::string& out) {
        for (std::size_t i = 0; i < items_.size(); ++i) {
            if (!is_open(i)) continue;
            const bool complete = i != last_ && is_complete(items_[i]);
            close_item(i, complete ? "completed" : status, out);
        }
    }
    // An answer without a word is an empty text.
    void say_nothing(std::string& out) {
        if (items_.empty()) begin(ItemKind::Message, out);
    }
    void break_off() {
        for (std::size_t i = 0; i < items_.size(); ++i) {
            if (is_open(i)) items_[i].status = "incomplete";
        }
    }

    void emit(std::string_view type, json::object fields, std::string& out) {
        if (!streams_) return;
        json::object event{{"type", type}, {"sequence_number", sequence_++}};
        for (auto& [key, value] : fields) event[key] = std::move(value);
        out += format("event: {}\ndata: ", type);
        append_json(out, event);
        out += "\n\n";
    }
    json::array list() const {
        json::array out;
        for (const Item& item : items_) out.push_back(object_of(item, true));
        return out;
    }
    std::size_t bytes() const { return bytes_; }

  private:
    bool is_open(std::size_t index) const {
        return index < items_.size() && items_[index].status == kOpen;
    }
    // Something else comes after the last item, which may have its end with that.
    void leave(std::string& out) {
        if (!is_open(last_)) return;
        const Item& item = items_[last_];
        if (item.kind != ItemKind::Call || is_complete(item)) close_item(last_, "completed", out);
    }
    void close_item(std::size_t index, std::string_view status, std::string& out) {
        Item& item = items_[index];
        item.status = status;
        if (item.kind == ItemKind::Call) {
            json::object fields = place_of(index);
            fields["name"] = item.name;
            fields["arguments"] = item.text;
            emit("response.function_call_arguments.done", std::move(fields), out);
        } else {
            close_part(index, out);
        }
        emit("response.output_item.done",
             {{"output_index", index}, {"item", object_of(item, true)}}, out);
    }

    static std::string_view word_of(ItemKind kind) {
        return kind == ItemKind::Reasoning ? "reasoning_text" : "output_text";
    }
    void emit_delta(std::string_view type, json::object fields, std::string& out) {
        if (!timings_.is_null()) fields["timings"] = timings_;
        emit(type, std::move(fields), out);
    }
    json::object place_of(std::size_t index) const {
        return {{"item_id", items_[index].id}, {"output_index", index}};
    }
    json::object place_in(std::size_t index) const {
        json::object place = place_of(index);
        place["content_index"] = 0;
        return place;
    }

    Item& add(Item item, std::string& out) {
        leave(out);
        item.id = format("{}_{}_{}", prefix_of(item.kind), id_, items_.size());
        bytes_ += sizeof(Item);
        last_ = items_.size();
        items_.push_back(std::move(item));
        emit("response.output_item.added",
             {{"output_index", last_}, {"item", object_of(items_.back(), false)}}, out);
        return items_.back();
    }
    Item& begin(ItemKind kind, std::string& out) {
        Item& item = add({.kind = kind}, out);
        json::object fields = place_in(last_);
        fields["part"] = part_of(item, false);
        emit("response.content_part.added", std::move(fields), out);
        return item;
    }
    void begin_call(std::string call_id, std::string name, std::string& out) {
        if (call_id.empty()) call_id = format("call_{}_{}", id_, items_.size());
        add({.kind = ItemKind::Call, .call_id = std::move(call_id), .name = std::move(name)}, out);
    }
    void close_part(std::size_t index, std::string& out) {
        const Item& item = items_[index];
        json::object text = place_in(index);
        text["text"] = item.text;
        if (item.kind == ItemKind::Message) text["logprobs"] = item.logprobs;
        emit(format("response.{}.done", word_of(item.kind)), std::move(text), out);
        json::object part = place_in(index);
        part["part"] = part_of(item, true);
        emit("response.content_part.done", std::move(part), out);
    }

    const std::string id_;
    const bool streams_;
    std::vector<Item> items_;
    std::size_t last_ = 0;  // the item that was added, or had something added, last
    std::map<std::int64_t, std::size_t> calls_;  // their items, by the engine's numbers
    json::value timings_;
    std::size_t bytes_ = 0;
    std::uint64_t sequence_ = 0;
};

class Writer final : public AnswerWriter {
  public:
    Writer(const Call& call, std::string model, Stamp stamp)
        : streams_(call.chat.stream),
          top_logprobs_(call.chat.top_logprobs),
          output_(stamp.id, call.chat.stream),
          answer_{{"id", "resp_" + stamp.id},
                  {"object", "response"},
                  {"created_at", stamp.created_unix},
                  {"status", "in_progress"},
                  {"model", std::move(model)},
                  {"output", json::array()},
                  {"usage", nullptr},
                  {"error", nullptr},
                  {"incomplete_details", nullptr}} {
        for (const auto& [name, value] : call.asked) answer_[name] = value;
        // As the engine was told, by the caller or by the model's own settings; null: its own.
        for (const char* name : {"temperature", "top_p"}) {
            const json::value* told = find(call.chat.request.body, name);
            answer_[name] = told != nullptr ? *told : json::value();
        }
    }

    bool streams() const override { return streams_; }
    std::string_view content_type() const override {
        return streams_ ? "text/event-stream" : "application/json";
    }

    Result<void> event(json::object event, std::string& out) override {
        begin(out);
        inference::note_usage(event, usage_);
        const json::value* timings = find(event, "timings");
        output_.time(timings != nullptr ? *timings : json::value());
        if (timings != nullptr) timings_ = *timings;
        if (const json::value* progress = find(event, "prompt_progress")) {
            output_.emit("response.in_progress",
                         {{"response", response("in_progress")}, {"prompt_progress", *progress}},
                         out);
        }
        if (const json::object* choice = first_choice(event)) take(*choice, out);
        if (output_.bytes() <= kAnswerBytesMax) return {};
        return fail(Code::TooLarge, format("the answer is over {} bytes", kAnswerBytesMax));
    }
    void alive(std::string& out) override {
        if (streams_) out += ": \n\n";
    }

    void finish(const GenerateReply& reply, std::string& out) override {
        begin(out);
        output_.say_nothing(out);
        const bool is_cut = reason_ == "length" || reason_ == "content_filter";
        output_.close(is_cut ? "incomplete" : "completed", out);
        if (is_cut) {
            answer_["incomplete_details"] = {
                {"reason", reason_ == "length" ? "max_output_tokens" : "content_filter"}};
        }
        const json::value usage = usage_of(usage_);
        answer_["usage"] = usage.is_null() ? usage_of(reply.usage) : usage;
        const std::string_view status = is_cut ? "incomplete" : "completed";
        if (!streams_) {
            json::object whole = response(status);
            if (!timings_.is_null()) whole["timings"] = timings_;
            append_json(out, whole);
            return;
        }
        json::object fields{{"response", response(status)}};
        if (!timings_.is_null()) fields["timings"] = timings_;
        output_.emit(format("response.{}", status), std::move(fields), out);
    }

    void error(const Error& error, std::string& out) override {
        const std::string body = openai::encode_error(error).body;
        if (!streams_) {
            out += body;
            return;
        }
        begin(out);
        const json::object told = json::parse(body).at("error").as_object();
        const json::value* code = find(told, "code");
        output_.emit("error",
                     {{"code", code != nullptr ? *code : told.at("type")},
                      {"message", told.at("message")},
                      {"param", told.at("param")}},
                     out);
        output_.break_off();
        answer_["error"] = {{"code", failure_of(error.code)}, {"message", told.at("message")}};
        answer_["usage"] = usage_of(usage_);
        output_.emit("response.failed", {{"response", response("failed")}}, out);
    }

  private:
    json::object response(std::string_view status) const {
        json::object out = answer_;
        out["status"] = status;
        out["output"] = output_.list();
        return out;
    }

    void begin(std::string& out) {
        if (std::exchange(begun_, true) || !streams_) return;
        const json::object first = response("in_progress");
        output_.emit("response.created", {{"response", first}}, out);
        output_.emit("response.in_progress", {{"response", first}}, out);
    }

    void take(const json::object& choice, std::string& out) {
        if (const std::string reason = text_of(choice, "finish_reason"); !reason.empty()) {
            reason_ = reason;
        }
        const json::object* delta = object_at(choice, "delta");
        if (delta == nullptr) return;
        if (const std::string text = text_of(*delta, "reasoning_content"); !text.empty()) {
            waiting_ = {};
            output_.say(ItemKind::Reasoning, text, {}, out);
        }
        take_logprobs(choice);
        if (const std::string text = text_of(*delta, "content"); !text.empty()) {
            output_.say(ItemKind::Message, text, std::exchange(waiting_, {}), out);
        }
        const json::array* calls = list_at(*delta, "tool_calls");
        if (calls == nullptr) return;
        waiting_ = {};
        for (const json::value& call : *calls) {
            if (call.is_object()) output_.call(call.get_object(), out);
        }
    }

    // A token that is half a character has no text of its own: it waits for the other half.
    void take_logprobs(const json::object& choice) {
        const json::object* given = object_at(choice, "logprobs");
        if (given == nullptr || !top_logprobs_) return;
        json::object logprobs = *given;
        openai::trim_alternatives(logprobs, *top_logprobs_);
        const json::array* list = list_at(logprobs, "content");
        if (list == nullptr) return;
        waiting_.insert(waiting_.end(), list->begin(), list->end());
    }

    const bool streams_;
    const std::optional<std::size_t> top_logprobs_;
    Output output_;
    json::object answer_;  // its status and its output as they were in the beginning
    inference::Usage usage_;
    json::value timings_;
    json::array waiting_;
    std::string reason_;
    bool begun_ = false;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_writer(const Call& call, std::string model, Stamp stamp) {
    return std::make_unique<Writer>(call, std::move(model), std::move(stamp));
}

}  // namespace hearth::api::responses
