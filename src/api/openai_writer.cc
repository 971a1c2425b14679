#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "api/collect.h"
#include "api/json_body.h"
#include "api/json_text.h"
#include "api/openai.h"
#include "api/openai_functions.h"
#include "api/openai_generate.h"
#include "api/openai_logprobs.h"
#include "api/usage_total.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;
using inference::GenerateReply;
using inference::Operation;

void append_data(std::string& out, std::string_view text) {
    out += "data: ";
    out += text;
    out += "\n\n";
}

bool is_usage_only(const json::object& event) {
    const json::value* choices = event.if_contains("choices");
    return choices != nullptr && choices->is_array() && choices->get_array().empty();
}

bool is_finishing(const json::object& event) {
    const json::value* choices = event.if_contains("choices");
    if (choices == nullptr || !choices->is_array()) return false;
    return std::ranges::any_of(choices->get_array(), [](const json::value& choice) {
        return choice.is_object() && find(choice.get_object(), "finish_reason") != nullptr;
    });
}

std::int64_t index_of(const json::object& choice) {
    const json::value* index = find(choice, "index");
    return index != nullptr && index->is_int64() ? std::max<std::int64_t>(0, index->get_int64())
                                                 : 0;
}

// An event of /infill in the words of /v1/completions.
json::object completion_of(const json::object& native, const Stamp& stamp) {
    const std::string stop_type = text_of(native, "stop_type");
    json::value reason;
    if (!stop_type.empty()) reason = stop_type == "limit" ? "length" : "stop";
    json::value logprobs;
    if (const json::value* probabilities = find(native, "completion_probabilities")) {
        logprobs = {{"content", *probabilities}};
    }
    json::object choice{{"text", text_of(native, "content")},
                        {"index", index_of(native)},
                        {"logprobs", std::move(logprobs)},
                        {"finish_reason", std::move(reason)}};
    json::object event{{"id", stamp.id},
                       {"object", "text_completion"},
                       {"created", stamp.created_unix},
                       {"choices", json::array(1, json::value(std::move(choice)))}};
    if (const json::value* timings = find(native, "timings")) event["timings"] = *timings;
    inference::Usage usage;
    inference::note_usage(native, usage);
    if (usage.prompt_tokens && usage.completion_tokens) {
        event["usage"] = {{"prompt_tokens", *usage.prompt_tokens},
                          {"completion_tokens", *usage.completion_tokens},
                          {"total_tokens", *usage.prompt_tokens + *usage.completion_tokens}};
    }
    return event;
}

// nullptr when there is no such member. "timings/prompt_ms" is one of an inner object.
const json::value* at_path(const json::object& from, std::string_view path) {
    const std::size_t slash = path.find('/');
    const json::value* value = from.if_contains(path.substr(0, slash));
    if (slash == std::string_view::npos || value == nullptr) return value;
    return value->is_object() ? at_path(value->get_object(), path.substr(slash + 1)) : nullptr;
}

json::object selected(const json::object& event, const std::vector<std::string>& fields) {
    json::object out;
    for (const std::string& field : fields) {
        if (const json::value* value = at_path(event, field)) out[field] = *value;
    }
    return out;
}

// Puts choices, of a stream's event or of a whole answer, into the form in which the call was made.
class Shaper {
  public:
    explicit Shaper(const GenerateCall& call)
        : form_(call.form),
          functions_(call.functions),
          silent_(call.silent),
          choices_(static_cast<std::int64_t>(call.choices)),
          top_logprobs_(call.top_logprobs),
          echo_(call.echo) {}

    void shape(json::object& answer) {
        json::value* choices = answer.if_contains("choices");
        if (choices == nullptr || !choices->is_array()) return;
        for (json::value& choice : choices->get_array()) {
            if (choice.is_object()) shape_choice(choice.get_object());
        }
    }

  private:
    void shape_choice(json::object& choice) {
        if (silent_) silence(choice);
        if (functions_) restore_function_call(choice);
        if (form_ == Form::Completion) echo(choice);
        json::value* logprobs = choice.if_contains("logprobs");
        if (logprobs == nullptr || !logprobs->is_object()) return;
        if (top_logprobs_) trim_alternatives(logprobs->get_object(), *top_logprobs_);
        if (form_ == Form::Completion) {
            add_lists(logprobs->get_object(), offsets_[index_of(choice)]);
        }
    }

    static void silence(json::object& choice) {
        const auto empty = [](json::object& from, std::string_view name) {
            json::value* text = from.if_contains(name);
            if (text != nullptr && text->is_string()) *text = "";
        };
        empty(choice, "text");
        for (const char* part : {"delta", "message"}) {
            json::value* said = choice.if_contains(part);
            if (said == nullptr || !said->is_object()) continue;
            empty(said->get_object(), "content");
            said->get_object().erase("reasoning_content");
        }
        if (choice.contains("logprobs")) choice["logprobs"] = nullptr;
    }

    void echo(json::object& choice) {
        if (echo_.empty()) return;
        const std::int64_t index = index_of(choice);
        const auto prompt = static_cast<std::size_t>(index / choices_);
        if (prompt >= echo_.size() || !echoed_.insert(index).second) return;
        choice["text"] = echo_[prompt] + text_of(choice, "text");
    }

    const Form form_;
    const bool functions_;
    const bool silent_;
    const std::int64_t choices_;
    const std::optional<std::size_t> top_logprobs_;
    const std::vector<std::string> echo_;
    std::set<std::int64_t> echoed_;                // the choices that have had theirs
    std::map<std::int64_t, std::size_t> offsets_;  // code points of each choice so far
};

class StreamWriter final : public AnswerWriter {
  public:
    StreamWriter(const GenerateCall& call, std::string model)
        : form_(call.form),
          include_usage_(call.include_usage),
          choices_(static_cast<std::int64_t>(call.choices)),
          fields_(call.fields),
          model_(std::move(model)),
          shaper_(call) {}

    bool streams() const override { return true; }
    std::string_view content_type() const override { return "text/event-stream"; }

    Result<void> event(json::object event, std::string& out) override {
        event["model"] = model_;
        if (form_ == Form::Native) {
            const bool is_last = event.contains("stop_type");
            if (is_last && !fields_.empty()) event = selected(event, fields_);
            append_event(out, event);
            return {};
        }
        take_usage(event);
        if (is_usage_only(event)) {
            take_timings(event);
            return {};
        }
        release(out);
        shaper_.shape(event);
        if (is_finishing(event)) {
            held_ = std::move(event);
        } else {
            append_event(out, event);
        }
        return {};
    }
    void alive(std::string& out) override { out += ": \n\n"; }
    void finish(const GenerateReply&, std::string& out) override {
        if (form_ == Form::Native) return;
        release(out);
        if (include_usage_ && !usage_.empty()) {
            last_["choices"] = json::array();
            last_["usage"] = usage_.total();
            append_event(out, last_);
        }
        append_data(out, "[DONE]");
    }
    void error(const Error& error, std::string& out) override {
        release(out);
        append_data(out, encode_error(error).body);
    }

  private:
    // Usage stands in an event of its own at the end, and is null in all others, or it is nowhere.
    void take_usage(json::object& event) {
        usage_.add(event, choices_);
        event.stable_erase("usage");
        if (include_usage_) event["usage"] = nullptr;
        // The same in all events, as the API has it; an engine takes the time of each.
        if (const json::value* created = find(event, "created")) {
            if (created_.is_null()) created_ = *created;
            event["created"] = created_;
        }
    }

    // An engine's last event says how long it all took. Where there is none for the caller, that
    // stands in the one before.
    void take_timings(json::object& event) {
        last_ = std::move(event);
        if (include_usage_ || !held_) return;
        if (const json::value* timings = find(last_, "timings")) (*held_)["timings"] = *timings;
    }

    void release(std::string& out) {
        if (!held_) return;
        append_event(out, *held_);
        if (last_.empty()) {
            last_ = std::move(*held_);
            last_.erase("timings");
        }
        held_.reset();
    }

    static void append_event(std::string& out, const json::object& event) {
        out += "data: ";
        append_json(out, event);
        out += "\n\n";
    }

    const Form form_;
    const bool include_usage_;
    const std::int64_t choices_;  // of each prompt
    const std::vector<std::string> fields_;
    const std::string model_;
    Shaper shaper_;
    UsageTotal usage_;
    json::value created_;
    // The event that ends a choice, until it is known whether the engine has more to say of it.
    std::optional<json::object> held_;
    json::object last_;  // from which the event with the usage is made
};

class WholeWriter final : public AnswerWriter {
  public:
    WholeWriter(const GenerateCall& call, Operation operation, std::string model)
        : form_(call.form),
          wants_tokens_(flag_at(call.request.body, "return_tokens")),
          fields_(call.fields),
          model_(std::move(model)),
          shaper_(call),
          collector_(operation, call.choices) {}

    bool streams() const override { return false; }
    std::string_view content_type() const override { return "application/json"; }
    Result<void> event(json::object event, std::string&) override {
        return collector_.add(std::move(event));
    }
    void alive(std::string&) override {}
    void finish(const GenerateReply&, std::string& out) override {
        json::value answer = collector_.finish();
        if (answer.is_object()) settle(answer.get_object());
        if (answer.is_array()) {
            for (json::value& one : answer.get_array()) settle(one.get_object());
        }
        append_json(out, answer);
    }
    void error(const Error& error, std::string& out) override { out += encode_error(error).body; }

  private:
    void settle(json::object& answer) {
        answer["model"] = model_;
        if (form_ != Form::Native) {
            shaper_.shape(answer);
            return;
        }
        if (!wants_tokens_) answer["tokens"] = json::array();
        if (!fields_.empty()) answer = selected(answer, fields_);
    }

    const Form form_;
    const bool wants_tokens_;
    const std::vector<std::string> fields_;
    const std::string model_;
    Shaper shaper_;
    Collector collector_;
};

// Infill events for a caller of /v1/completions.
class SuffixWriter final : public AnswerWriter {
  public:
    SuffixWriter(std::unique_ptr<AnswerWriter> next, Stamp stamp)
        : next_(std::move(next)), stamp_(std::move(stamp)) {}

    bool streams() const override { return next_->streams(); }
    std::string_view content_type() const override { return next_->content_type(); }
    Result<void> event(json::object event, std::string& out) override {
        return next_->event(completion_of(event, stamp_), out);
    }
    void alive(std::string& out) override { next_->alive(out); }
    void finish(const GenerateReply& reply, std::string& out) override {
        next_->finish(reply, out);
    }
    void error(const Error& error, std::string& out) override { next_->error(error, out); }

  private:
    const std::unique_ptr<AnswerWriter> next_;
    const Stamp stamp_;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_writer(const GenerateCall& call, std::string model,
                                          Stamp stamp) {
    const bool suffix =
        call.form == Form::Completion && call.request.operation == Operation::Infill;
    const Operation operation = suffix ? Operation::Completion : call.request.operation;
    std::unique_ptr<AnswerWriter> writer;
    if (call.stream) {
        writer = std::make_unique<StreamWriter>(call, std::move(model));
    } else {
        writer = std::make_unique<WholeWriter>(call, operation, std::move(model));
    }
    if (!suffix) return writer;
    return std::make_unique<SuffixWriter>(std::move(writer), std::move(stamp));
}

}  // namespace hearth::api::openai
