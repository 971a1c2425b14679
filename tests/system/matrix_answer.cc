#include "matrix_answer.h"

#include <algorithm>
#include <map>
#include <stdexcept>

#include "base/format.h"

namespace hearth::system_test::matrix {
namespace {

namespace json = boost::json;

// Where the parts of an answer, or of an event, stand.
struct Places {
    const char* text;
    const char* finish;
    const char* calls;
    const char* prompt;
    const char* completion;
};

Places places_of(Form form, bool stream) {
    constexpr const char* kPrompt = "/usage/prompt_tokens";
    constexpr const char* kCompletion = "/usage/completion_tokens";
    switch (form) {
        case Form::Chat:
            if (stream) {
                return {"/choices/0/delta/content", "/choices/0/finish_reason",
                        "/choices/0/delta/tool_calls", kPrompt, kCompletion};
            }
            return {"/choices/0/message/content", "/choices/0/finish_reason",
                    "/choices/0/message/tool_calls", kPrompt, kCompletion};
        case Form::Completion:
            return {"/choices/0/text", "/choices/0/finish_reason", "/none", kPrompt, kCompletion};
        case Form::Responses:
            return {"/none", "/status", "/none", "/usage/input_tokens", "/usage/output_tokens"};
        case Form::Messages:
            return {"/none", "/stop_reason", "/none", "/usage/input_tokens",
                    "/usage/output_tokens"};
        case Form::OllamaChat:
            return {"/message/content", "/done_reason", "/message/tool_calls", "/prompt_eval_count",
                    "/eval_count"};
        case Form::OllamaGenerate:
            return {"/response", "/done_reason", "/none", "/prompt_eval_count", "/eval_count"};
        case Form::Native:
            return {"/content", "/stop_type", "/none", "/tokens_evaluated", "/tokens_predicted"};
        case Form::OpenaiVectors:
        case Form::Ranking: return {"/none", "/none", "/none", kPrompt, "/none"};
        case Form::OllamaVectors: return {"/none", "/none", "/none", "/prompt_eval_count", "/none"};
        case Form::BareVectors:
        case Form::BareRanking: return {"/none", "/none", "/none", "/none", "/none"};
    }
    throw std::logic_error("no such form");
}

const json::value* at(const json::value& from, std::string_view pointer) {
    boost::system::error_code failed;
    return from.find_pointer(pointer, failed);
}

std::string text_at(const json::value& from, std::string_view pointer) {
    const json::value* value = at(from, pointer);
    return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                  : std::string();
}

void take_count(const json::value& from, const char* pointer, std::optional<std::int64_t>& to) {
    const json::value* value = at(from, pointer);
    if (value != nullptr && value->is_number()) to = value->to_number<std::int64_t>();
}

// Reads the events of one answer. A whole answer is one event.
class Reader {
  public:
    Reader(Form form, bool stream)
        : form_(form), stream_(stream), places_(places_of(form, stream)) {}

    void take(const json::value& event) {
        if (stream_ && form_ == Form::Responses) return take_response_event(event);
        if (stream_ && form_ == Form::Messages) return take_message_event(event);
        take_common(event);
        if (form_ == Form::Responses) take_items(event.at("output").as_array());
        if (form_ == Form::Messages) take_blocks(event.at("content").as_array());
        const json::value* done = at(event, "/done");
        const json::value* stop = at(event, "/stop");
        for (const json::value* flag : {done, stop}) {
            if (flag != nullptr && flag->is_bool() && flag->get_bool()) answer_.ended = true;
        }
    }
    void take_end() { answer_.ended = true; }

    Answer finish() {
        for (auto& [index, call] : open_) {
            const std::string& text = pieces_[index];
            if (!text.empty()) call.arguments = json::parse(text);
            answer_.calls.push_back(std::move(call));
        }
        answer_.finish = canonical(answer_.finish);
        return std::move(answer_);
    }

  private:
    void take_common(const json::value& event) {
        note_error(event);
        answer_.text += text_at(event, places_.text);
        if (std::string reason = text_at(event, places_.finish); !reason.empty()) {
            answer_.finish = std::move(reason);
        }
        take_count(event, places_.prompt, answer_.prompt_tokens);
        if (form_ == Form::Messages) add_cached(event);
        take_count(event, places_.completion, answer_.completion_tokens);
        const json::value* calls = at(event, places_.calls);
        if (calls == nullptr || !calls->is_array()) return;
        for (const json::value& call : calls->get_array()) take_call(call);
    }

    // Anthropic counts what it read from its cache, and wrote there, apart.
    void add_cached(const json::value& event) {
        if (at(event, places_.prompt) == nullptr) return;
        for (const char* place :
             {"/usage/cache_read_input_tokens", "/usage/cache_creation_input_tokens"}) {
            const json::value* count = at(event, place);
            if (count != nullptr && count->is_number()) {
                *answer_.prompt_tokens += count->to_number<std::int64_t>();
            }
        }
    }

    void note_error(const json::value& event) {
        const json::value* error = at(event, "/error");
        if (error == nullptr || error->is_null()) return;
        answer_.failed = true;
        answer_.error_type = text_at(event, "/error/type");
    }

    // Whole, or in pieces that have one number.
    void take_call(const json::value& call) {
        const json::value* number = at(call, "/index");
        const std::int64_t index = stream_ && number != nullptr
                                       ? number->to_number<std::int64_t>()
                                       : static_cast<std::int64_t>(open_.size());
        ToolCall& open = open_[index];
        open.id += text_at(call, "/id");
        open.name += text_at(call, "/function/name");
        const json::value* arguments = at(call, "/function/arguments");
        if (arguments != nullptr && arguments->is_object()) open.arguments = *arguments;
        pieces_[index] += text_at(call, "/function/arguments");
    }

    void take_items(const json::array& items) {
        for (const json::value& item : items) {
            if (text_at(item, "/type") == "message")
                answer_.text += text_at(item, "/content/0/text");
            if (text_at(item, "/type") != "function_call") continue;
            answer_.calls.push_back({.id = text_at(item, "/call_id"),
                                     .name = text_at(item, "/name"),
                                     .arguments = json::parse(text_at(item, "/arguments"))});
        }
    }

    void take_blocks(const json::array& blocks) {
        for (const json::value& block : blocks) {
            if (text_at(block, "/type") == "text") answer_.text += text_at(block, "/text");
            if (text_at(block, "/type") != "tool_use") continue;
            answer_.calls.push_back({.id = text_at(block, "/id"),
                                     .name = text_at(block, "/name"),
                                     .arguments = block.at("input")});
        }
    }

    void take_response_event(const json::value& event) {
        const std::string type = text_at(event, "/type");
        if (type == "response.output_text.delta") answer_.text += text_at(event, "/delta");
        if (type == "error" || type == "response.failed") {
            answer_.failed = true;
            answer_.error_type = text_at(event, "/response/error/code");
        }
        if (type == "response.completed" || type == "response.incomplete") {
            const json::value& response = event.at("response");
            const std::string said = std::move(answer_.text);
            answer_.text.clear();
            take_common(response);
            take_items(response.at("output").as_array());
            if (answer_.text != said) throw std::runtime_error("the pieces are not the whole");
            answer_.ended = true;
        }
    }

    void take_message_event(const json::value& event) {
        const std::string type = text_at(event, "/type");
        if (type == "error") note_error(event);
        if (type == "message_start") take_common(event.at("message"));
        if (type == "content_block_start" && text_at(event, "/content_block/type") == "tool_use") {
            const std::int64_t index = event.at("index").to_number<std::int64_t>();
            open_[index] = {.id = text_at(event, "/content_block/id"),
                            .name = text_at(event, "/content_block/name"),
                            .arguments = event.at("content_block").at("input")};
        }
        if (type == "content_block_delta") {
            answer_.text += text_at(event, "/delta/text");
            const std::string piece = text_at(event, "/delta/partial_json");
            if (!piece.empty()) pieces_[event.at("index").to_number<std::int64_t>()] += piece;
        }
        if (type == "message_delta") {
            take_common(event);
            answer_.finish = text_at(event, "/delta/stop_reason");
        }
        if (type == "message_stop") answer_.ended = true;
    }

    std::string canonical(const std::string& word) const {
        static const std::map<std::string, std::string> kWords = {
            {"max_tokens", "length"},  {"incomplete", "length"}, {"limit", "length"},
            {"end_turn", "stop"},      {"completed", "stop"},    {"eos", "stop"},
            {"tool_use", "tool_calls"}};
        const auto known = kWords.find(word);
        const std::string found = known == kWords.end() ? word : known->second;
        // These have no word of their own for it.
        const bool is_silent = form_ == Form::Responses || form_ == Form::OllamaChat;
        return is_silent && found == "stop" && !answer_.calls.empty() ? "tool_calls" : found;
    }

    const Form form_;
    const bool stream_;
    const Places places_;
    Answer answer_;
    std::map<std::int64_t, ToolCall> open_;
    std::map<std::int64_t, std::string> pieces_;
};

const json::array& list_of(Form form, const json::value& answer) {
    if (form == Form::OpenaiVectors) return answer.at("data").as_array();
    if (form == Form::OllamaVectors) return answer.at("embeddings").as_array();
    if (form == Form::Ranking) return answer.at("results").as_array();
    return answer.as_array();
}

std::vector<double> numbers_of(const json::value& list) {
    return json::value_to<std::vector<double>>(list);
}

}  // namespace

Answer read_answer(Form form, const Reply& reply, bool stream) {
    Reader reader(form, stream);
    if (!stream) {
        reader.take(reply.json());
        reader.take_end();
        return reader.finish();
    }
    std::string_view rest = reply.body;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end + 1);
        if (line.starts_with("data: ")) line.remove_prefix(6);
        if (line == "[DONE]") reader.take_end();
        if (line.starts_with('{')) reader.take(json::parse(line));
    }
    return reader.finish();
}

std::vector<std::vector<double>> read_rows(Form form, const json::value& answer) {
    std::vector<std::vector<double>> rows;
    const json::array& list = list_of(form, answer);
    if (form == Form::Ranking || form == Form::BareRanking) {
        std::vector<double> scores(list.size());
        const char* score = form == Form::Ranking ? "relevance_score" : "score";
        for (const json::value& one : list) {
            scores.at(one.at("index").to_number<std::size_t>()) = one.at(score).to_number<double>();
        }
        return {scores};
    }
    for (const json::value& one : list) {
        rows.push_back(numbers_of(form == Form::OpenaiVectors ? one.at("embedding") : one));
    }
    return rows;
}

Refusal refusal_of(Errors errors, Code code) {
    struct Row {
        Code code;
        Refusal openai;
        Refusal anthropic;
        int ollama;
        Refusal tei;
    };
    static const Row kRows[] = {
        {Code::InvalidArgument,
         {400, "invalid_request_error", {}},
         {400, "invalid_request_error", {}},
         400,
         {422, "Validation", {}}},
        {Code::Unsupported,
         {501, "not_supported_error", {}},
         {400, "invalid_request_error", {}},
         501,
         {422, "Validation", {}}},
        {Code::NotFound,
         {404, "not_found_error", {}},
         {404, "not_found_error", {}},
         404,
         {404, "Validation", {}}},
        {Code::RateLimited,
         {429, "rate_limit_error", {}},
         {429, "rate_limit_error", {}},
         429,
         {429, "Overloaded", {}}},
        {Code::BadUpstream,
         {502, "server_error", {}},
         {502, "api_error", {}},
         502,
         {424, "Backend", {}}},
    };
    for (const Row& row : kRows) {
        if (row.code != code) continue;
        switch (errors) {
            case Errors::Openai: return row.openai;
            case Errors::Anthropic: return row.anthropic;
            case Errors::Ollama: return {row.ollama, {}, {}};
            case Errors::Tei: return row.tei;
        }
    }
    throw std::logic_error("no refusal is expected to say this");
}

Refusal read_refusal(Errors errors, const Reply& reply) {
    const json::value body = reply.json();
    Refusal refusal{.status = reply.status, .type = {}, .message = {}};
    switch (errors) {
        case Errors::Anthropic:
            if (text_at(body, "/type") != "error") throw std::runtime_error("no error's type");
            [[fallthrough]];
        case Errors::Openai:
            refusal.type = text_at(body, "/error/type");
            refusal.message = text_at(body, "/error/message");
            break;
        case Errors::Ollama: refusal.message = text_at(body, "/error"); break;
        case Errors::Tei:
            refusal.type = text_at(body, "/error_type");
            refusal.message = text_at(body, "/error");
            break;
    }
    if (refusal.message.empty()) throw std::runtime_error("an error without a message");
    return refusal;
}

}  // namespace hearth::system_test::matrix
