#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <utility>

#include "api/json_body.h"
#include "api/json_text.h"
#include "api/ollama.h"
#include "api/ollama_generate.h"
#include "base/format.h"
#include "inference/json.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;
using inference::GenerateReply;
using inference::Operation;
using std::chrono::nanoseconds;

constexpr std::size_t kBytesMax = 64 << 20;  // of an answer that is kept until its end

// Arguments that are no object: cut off by a limit, or a model's mistake.
json::object text_object(std::string_view text) {
    Result<json::object> parsed = read_object(text);
    return parsed ? *std::move(parsed) : json::object();
}

std::int64_t index_of(const json::object& from) {
    const json::value* index = find(from, "index");
    return index != nullptr && index->is_int64() ? index->get_int64() : 0;
}

// What one event says, whatever the operation.
struct Said {
    std::string text;
    std::string thinking;
    std::string finish_reason;
    json::array logprobs;
};

class Writer final : public AnswerWriter {
  public:
    Writer(const TextCall& call, std::string model, Now now)
        : chat_(call.chat),
          streams_(call.stream),
          hides_thinking_(call.hides_thinking),
          top_logprobs_(call.top_logprobs),
          operation_(call.request.operation),
          model_(std::move(model)),
          now_(now),
          begun_(now()) {}

    bool streams() const override { return streams_; }
    std::string_view content_type() const override {
        return streams_ ? "application/x-ndjson" : "application/json";
    }
    void alive(std::string&) override {}  // the dialect has no word for it

    Result<void> event(json::object event, std::string& out) override {
        Said said = read(event);
        if (hides_thinking_) said.thinking.clear();
        if (!said.finish_reason.empty()) finish_reason_ = said.finish_reason;
        if (said.text.empty() && said.thinking.empty() && said.logprobs.empty()) {
            return check_bound();
        }
        if (streams_) {
            append_line(out, said, {});
            return {};
        }
        kept_bytes_ += said.text.size() + said.thinking.size();
        whole_.text += said.text;
        whole_.thinking += said.thinking;
        for (json::value& one : said.logprobs) {
            kept_bytes_ += inference::weight_of(one);
            whole_.logprobs.push_back(std::move(one));
        }
        return check_bound();
    }

    void finish(const GenerateReply& reply, std::string& out) override {
        if (streams_ && !calls_.empty()) append_line(out, {}, take_calls());
        out += '{';
        begin(out);
        append_message(out, whole_, streams_ ? json::array() : take_calls());
        append_end(out, reply);
        out += streams_ ? "}\n" : "}";
    }

    void error(const Error& error, std::string& out) override {
        out += encode_error(error).body;
        out += '\n';
    }

  private:
    Result<void> check_bound() const {
        if (kept_bytes_ <= kBytesMax) return {};
        return fail(Code::TooLarge,
                    format("what is kept of the answer is over {} bytes", kBytesMax));
    }

    struct Call {
        std::string id;
        std::string name;
        std::string arguments;
    };

    Said read(const json::object& event) {
        Said said;
        if (operation_ == Operation::Infill || operation_ == Operation::Native) {
            said.text = text_of(event, "content");
            const std::string stop = text_of(event, "stop_type");
            if (!stop.empty()) said.finish_reason = stop == "limit" ? "length" : "stop";
            read_tokens(event, "completion_probabilities", said);
            return said;
        }
        const json::value* choices = find(event, "choices");
        if (choices == nullptr || !choices->is_array()) return said;
        for (const json::value& choice : choices->get_array()) {
            if (choice.is_object()) read_choice(choice.get_object(), said);
        }
        return said;
    }

    void read_choice(const json::object& choice, Said& said) {
        said.text += text_of(choice, "text");
        said.finish_reason = text_of(choice, "finish_reason");
        const json::value* logprobs = find(choice, "logprobs");
        if (logprobs != nullptr && logprobs->is_object()) {
            read_tokens(logprobs->get_object(), "content", said);
        }
        const json::value* delta = find(choice, "delta");
        if (delta == nullptr || !delta->is_object()) return;
        said.text += text_of(delta->get_object(), "content");
        said.thinking += text_of(delta->get_object(), "reasoning_content");
        const json::value* calls = find(delta->get_object(), "tool_calls");
        if (calls == nullptr || !calls->is_array()) return;
        for (const json::value& call : calls->get_array()) {
            if (call.is_object()) read_call(call.get_object());
        }
    }

    void read_tokens(const json::object& from, std::string_view name, Said& said) const {
        const json::value* tokens = find(from, name);
        if (tokens == nullptr || !tokens->is_array()) return;
        for (const json::value& one : tokens->get_array()) {
            if (one.is_object()) said.logprobs.push_back(token_of(one.get_object()));
        }
    }

    // Ids are the engine's own; alternatives are told when asked for.
    json::object token_of(const json::object& token) const {
        json::object kept = token;
        kept.stable_erase("id");
        json::value* top = kept.if_contains("top_logprobs");
        if (top == nullptr || !top->is_array()) return kept;
        json::array& list = top->get_array();
        if (list.size() > top_logprobs_) list.resize(top_logprobs_);
        for (json::value& one : list) {
            if (one.is_object()) one.get_object().stable_erase("id");
        }
        if (list.empty()) kept.stable_erase("top_logprobs");
        return kept;
    }

    // Arguments come in pieces and are an object here, so a call is told when it is whole.
    void read_call(const json::object& delta) {
        const auto [found, is_new] = calls_.try_emplace(index_of(delta));
        Call& call = found->second;
        if (is_new) kept_bytes_ += sizeof(Call);
        call.id += text_of(delta, "id");
        const json::value* function = find(delta, "function");
        if (function == nullptr || !function->is_object()) return;
        call.name += text_of(function->get_object(), "name");
        call.arguments += text_of(function->get_object(), "arguments");
        kept_bytes_ += text_of(function->get_object(), "arguments").size();
    }

    json::array take_calls() {
        json::array out;
        for (auto& [index, call] : std::exchange(calls_, {})) {
            json::object entry;
            if (!call.id.empty()) entry["id"] = call.id;
            entry["function"] = {
                {"index", index}, {"name", call.name}, {"arguments", text_object(call.arguments)}};
            out.push_back(std::move(entry));
        }
        return out;
    }

    void begin(std::string& out) const {
        out += R"("model":)";
        append_text(out, model_);
        out += R"(,"created_at":")";
        append_time(out, now_());
        out += '"';
    }

    void append_message(std::string& out, const Said& said, const json::array& calls) const {
        out += chat_ ? R"(,"message":{"role":"assistant","content":)" : R"(,"response":)";
        append_text(out, said.text);
        if (!said.thinking.empty()) {
            out += R"(,"thinking":)";
            append_text(out, said.thinking);
        }
        if (!calls.empty()) {
            out += R"(,"tool_calls":)";
            append_json(out, calls);
        }
        if (chat_) out += '}';
        if (said.logprobs.empty()) return;
        out += R"(,"logprobs":)";
        append_json(out, said.logprobs);
    }

    void append_line(std::string& out, const Said& said, const json::array& calls) const {
        out += '{';
        begin(out);
        append_message(out, said, calls);
        out += ",\"done\":false}\n";
    }

    void append_count(std::string& out, std::string_view name,
                      const std::optional<std::uint64_t>& count) const {
        if (!count) return;
        out += format(",\"{}\":{}", name, *count);
    }
    void append_duration(std::string& out, std::string_view name,
                         const std::optional<nanoseconds>& time) const {
        if (!time) return;
        out += format(",\"{}\":{}", name, time->count());
    }

    void append_end(std::string& out, const GenerateReply& reply) const {
        out += R"(,"done":true,"done_reason":)";
        append_text(out, finish_reason_ == "length" ? "length" : "stop");
        append_duration(out, "total_duration", nanoseconds(now_() - begun_));
        append_duration(out, "load_duration", reply.load_time);
        append_count(out, "prompt_eval_count", reply.usage.prompt_tokens);
        append_duration(out, "prompt_eval_duration", reply.usage.prompt_time);
        append_count(out, "eval_count", reply.usage.completion_tokens);
        append_duration(out, "eval_duration", reply.usage.completion_time);
    }

    const bool chat_;
    const bool streams_;
    const bool hides_thinking_;
    const std::size_t top_logprobs_;
    const Operation operation_;
    const std::string model_;
    const Now now_;
    const std::int64_t begun_;
    std::string finish_reason_;
    std::map<std::int64_t, Call> calls_;
    std::size_t kept_bytes_ = 0;
    Said whole_;  // of an answer that is no stream
};

}  // namespace

std::int64_t system_now() {
    return std::chrono::duration_cast<nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::unique_ptr<AnswerWriter> make_writer(const TextCall& call, std::string model, Now now) {
    return std::make_unique<Writer>(call, std::move(model), now);
}

Reply encode_loaded(const TextCall& call, std::string_view model, nanoseconds load, Now now) {
    const bool unloads = call.request.keep_alive && call.request.keep_alive->count() == 0;
    Reply answer{.body = R"({"model":)"};
    std::string& out = answer.body;
    append_text(out, model);
    out += R"(,"created_at":")";
    append_time(out, now());
    out += call.chat ? R"(","message":{"role":"assistant","content":""})" : R"(","response":"")";
    out += format(R"(,"done":true,"done_reason":"{}")", unloads ? "unload" : "load");
    if (!unloads) out += format(R"(,"total_duration":{0},"load_duration":{0})", load.count());
    out += '}';
    if (call.stream) {
        answer.content_type = "application/x-ndjson";
        out += '\n';
    }
    return answer;
}

}  // namespace hearth::api::ollama
