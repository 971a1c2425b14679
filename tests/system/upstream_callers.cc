#include "upstream_callers.h"

#include <algorithm>
#include <cctype>

#include "base/format.h"

namespace hearth::system_test {
namespace {

// The length of the JSON value at the beginning of `text`, if it is a text or a number.
std::size_t scalar_length(std::string_view text) {
    if (!text.starts_with('"')) return std::min(text.find_first_of(",}"), text.size());
    const std::size_t end = text.find('"', 1);
    return end == std::string_view::npos ? text.size() : end + 1;
}

struct Kind {
    int status;
    int anthropic_status;
    const char* openai_type;
    const char* openai_code;  // of an error without a reason
    const char* anthropic_type;
};
Kind kind_of(Code code) {
    switch (code) {
        case Code::RateLimited:
            return {429, 429, "rate_limit_error", "\"rate_limit_exceeded\"", "rate_limit_error"};
        case Code::Overloaded:
            return {503, 529, "unavailable_error", "\"overloaded\"", "overloaded_error"};
        case Code::Unavailable: return {503, 503, "unavailable_error", "null", "api_error"};
        case Code::BadUpstream: return {502, 502, "server_error", "\"bad_upstream\"", "api_error"};
        case Code::DeadlineExceeded:
            return {504, 504, "server_error", "\"deadline_exceeded\"", "timeout_error"};
        default: return {0, 0, "?", "?", "?"};
    }
}

constexpr const char* kSseType = "text/event-stream";
constexpr const char* kNdjsonType = "application/x-ndjson";

// What each event of a server says, in letters: r who speaks, H "Hel", l "lo", f why it ended,
// d the end.
std::vector<std::string_view> said_by(const UpstreamWire& wire) {
    const std::string_view name = wire.name;
    if (name == "openai chat") return {"r", "H", "l", "f", "", "d"};
    if (name == "openai completions") return {"H", "l", "f", "", "d"};
    if (name == "ollama chat") return {"rH", "l", "fd"};
    if (name == "ollama generate") return {"H", "l", "fd"};
    return {"r", "", "", "H", "l", "", "", "fd"};  // anthropic
}

std::string openai_chunk(std::string_view object, std::string_view choice, std::string_view model) {
    return format(
        R"(data: {{"id":"ID","object":"{}","created":0,"choices":[{{"index":0,{}}}],"model":"{}"}})"
        "\n\n",
        object, choice, model);
}

std::string openai_piece(char said, bool chat, std::string_view model) {
    if (said == 'd') return "data: [DONE]\n\n";
    const std::string_view text = said == 'H' ? "Hel" : said == 'l' ? "lo" : "";
    const std::string_view reason = said == 'f' ? R"("stop")" : "null";
    if (!chat) {
        return openai_chunk(
            "text_completion",
            format(R"("text":"{}","logprobs":null,"finish_reason":{})", text, reason), model);
    }
    std::string delta = text.empty() ? "{}" : format(R"({{"content":"{}"}})", text);
    if (said == 'r') delta = R"({"role":"assistant","content":null})";
    return openai_chunk("chat.completion.chunk",
                        format(R"("delta":{},"finish_reason":{})", delta, reason), model);
}

std::string anthropic_part(std::string_view type, std::string_view rest) {
    return format("event: {0}\ndata: {{\"type\":\"{0}\"{1}}}\n\n", type, rest);
}

std::string anthropic_usage(int in, int out) {
    return format(R"("usage":{{"input_tokens":{},"cache_creation_input_tokens":0,)"
                  R"("cache_read_input_tokens":0,"output_tokens":{}}})",
                  in, out);
}

std::string anthropic_piece(char said, std::string_view model) {
    std::string out;
    if (said == 'H') {
        out = anthropic_part("message_start",
                             format(R"(,"message":{{"id":"ID","type":"message","role":)"
                                    R"("assistant","model":"{}","content":[],"stop_reason":null,)"
                                    R"("stop_sequence":null,{}}})",
                                    model, anthropic_usage(0, 0))) +
              anthropic_part("content_block_start",
                             R"(,"index":0,"content_block":{"type":"text","text":""})");
    }
    if (said == 'H' || said == 'l') {
        return out + anthropic_part("content_block_delta",
                                    format(R"(,"index":0,"delta":{{"type":"text_delta",)"
                                           R"("text":"{}"}})",
                                           said == 'H' ? "Hel" : "lo"));
    }
    if (said != 'd') return {};
    return anthropic_part("content_block_stop", R"(,"index":0)") +
           anthropic_part("message_delta",
                          R"(,"delta":{"stop_reason":"end_turn","stop_sequence":null},)" +
                              anthropic_usage(5, 2)) +
           anthropic_part("message_stop", "");
}

std::string ollama_json(std::string_view text, bool chat, std::string_view model) {
    const std::string said =
        chat ? format(R"("message":{{"role":"assistant","content":"{}"}})", text)
             : format(R"("response":"{}")", text);
    return format(R"({{"model":"{}","created_at":"ID",{},"done":)", model, said);
}
constexpr std::string_view kOllamaEnd =
    R"(true,"done_reason":"stop","total_duration":0,"load_duration":0,"prompt_eval_count":5,)"
    R"("eval_count":2})";

std::string ollama_piece(char said, bool chat, std::string_view model) {
    if (said == 'd') return ollama_json("", chat, model).append(kOllamaEnd) + "\n";
    if (said != 'H' && said != 'l') return {};
    return ollama_json(said == 'H' ? "Hel" : "lo", chat, model) + "false}\n";
}

std::string piece_of(char said, const CallerView& caller, std::string_view model) {
    switch (caller.words) {
        case Words::Openai: return openai_piece(said, caller.chat, model);
        case Words::Anthropic: return anthropic_piece(said, model);
        case Words::Ollama: return ollama_piece(said, caller.chat, model);
        case Words::Responses: break;
    }
    return {};
}

}  // namespace

std::vector<std::string> caller_pieces(const UpstreamWire& wire, const CallerView& caller,
                                       std::string_view model) {
    std::vector<std::string> pieces;
    if (std::string_view(wire.path) == caller.path) {
        pieces = wire.events;
        // Asked for by the gateway, not by these callers.
        for (std::string& piece : pieces) {
            if (piece.contains(R"("choices":[],"usage")")) piece.clear();
        }
        return pieces;
    }
    for (const std::string_view said : said_by(wire)) {
        pieces.emplace_back();
        for (const char one : said) pieces.back() += piece_of(one, caller, model);
    }
    return pieces;
}

std::string caller_whole(const CallerView& caller, std::string_view model) {
    switch (caller.words) {
        case Words::Anthropic:
            return format(
                R"({{"id":"ID","type":"message","role":"assistant","model":"{}","content":)"
                R"([{{"type":"text","text":"Hello"}}],"stop_reason":"end_turn","stop_sequence":)"
                R"(null,{}}})",
                model, anthropic_usage(5, 2));
        case Words::Ollama: return ollama_json("Hello", caller.chat, model).append(kOllamaEnd);
        case Words::Openai:
        case Words::Responses: break;
    }
    return format(
        R"({{"id":"ID","object":"chat.completion","created":0,"choices":[{{"index":0,"message":)"
        R"({{"role":"assistant","content":"Hello"}},"finish_reason":"stop","logprobs":null}}],)"
        R"("usage":{{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}},"model":"{}"}})",
        model);
}

const std::vector<CallerView>& caller_views() {
    static const std::vector<CallerView> views = {
        {"openai chat",
         "/v1/chat/completions",
         Words::Openai,
         true,
         false,
         R"("messages":[{"role":"user","content":"hi"}])",
         kSseType,
         {"[DONE]"}},
        {"anthropic",
         "/v1/messages",
         Words::Anthropic,
         true,
         false,
         R"("max_tokens":9,"messages":[{"role":"user","content":"hi"}])",
         kSseType,
         {"message_stop"}},
        {"ollama chat",
         "/api/chat",
         Words::Ollama,
         true,
         false,
         R"("messages":[{"role":"user","content":"hi"}])",
         kNdjsonType,
         {R"("done":true)"}},
        {"responses",
         "/v1/responses",
         Words::Responses,
         true,
         false,
         R"("input":"hi")",
         kSseType,
         {"response.completed", "response.incomplete"}},
        {"openai completions",
         "/v1/completions",
         Words::Openai,
         false,
         false,
         R"("prompt":"hi")",
         kSseType,
         {"[DONE]"}},
        {"ollama generate",
         "/api/generate",
         Words::Ollama,
         false,
         false,
         R"("prompt":"hi","raw":true)",
         kNdjsonType,
         {R"("done":true)"}},
        {"openai embeddings",
         "/v1/embeddings",
         Words::Openai,
         false,
         true,
         R"("input":"x")",
         "",
         {}},
        {"ollama embed", "/api/embed", Words::Ollama, false, true, R"("input":"x")", "", {}},
        {"rerank",
         "/v1/rerank",
         Words::Openai,
         false,
         true,
         R"("query":"q","documents":["d"])",
         "",
         {}},
    };
    return views;
}

std::string settled(std::string_view bytes) {
    constexpr std::string_view kNames[] = {
        R"("id":)",         R"("created":)",       R"("created_at":)", R"("total_duration":)",
        R"("request_id":)", R"("load_duration":)", R"("item_id":)",    R"("completed_at":)"};
    std::string out;
    while (!bytes.empty()) {
        const auto found = std::ranges::find_if(
            kNames, [&](std::string_view name) { return bytes.starts_with(name); });
        if (found == std::end(kNames)) {
            out += bytes.front();
            bytes.remove_prefix(1);
            continue;
        }
        out += *found;
        bytes.remove_prefix(found->size());
        out += bytes.starts_with('"') ? R"("ID")" : "0";
        bytes.remove_prefix(scalar_length(bytes));
    }
    return out;
}

std::string error_body(const CallerView& caller, const Error& error) {
    const Kind kind = kind_of(error.code);
    switch (caller.words) {
        case Words::Ollama: return format(R"({{"error":"{}"}})", error.message);
        case Words::Anthropic:
            return format(
                R"({{"type":"error","error":{{"type":"{}","message":"{}"}},"request_id":"ID"}})",
                kind.anthropic_type, error.message);
        case Words::Openai:
        case Words::Responses: break;
    }
    const std::string code =
        error.reason.empty() ? std::string(kind.openai_code) : format("\"{}\"", error.reason);
    return format(R"({{"error":{{"message":"{}","type":"{}","param":null,"code":{}}}}})",
                  error.message, kind.openai_type, code);
}

std::string error_event(const CallerView& caller, const Error& error) {
    const std::string body = error_body(caller, error);
    switch (caller.words) {
        case Words::Ollama: return body + "\n";
        case Words::Anthropic: return format("event: error\ndata: {}\n\n", body);
        case Words::Openai:
        case Words::Responses: break;
    }
    return format("data: {}\n\n", body);
}

int error_status(const CallerView& caller, const Error& error) {
    const Kind kind = kind_of(error.code);
    return caller.words == Words::Anthropic ? kind.anthropic_status : kind.status;
}

}  // namespace hearth::system_test
