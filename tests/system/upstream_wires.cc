// What the scripted servers say, as servers of each kind say it.
#include <algorithm>

#include "base/format.h"
#include "faulty_upstream.h"

namespace hearth::system_test {
namespace {

std::string chat_event(std::string_view delta, std::string_view reason = "null") {
    return format(
        R"(data: {{"id":"c1","object":"chat.completion.chunk","created":7,"model":"theirs",)"
        R"("choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}})"
        "\n\n",
        delta, reason);
}

std::string text_event(std::string_view text, std::string_view reason = "null") {
    return format(R"(data: {{"id":"t1","object":"text_completion","created":7,"model":"theirs",)"
                  R"("choices":[{{"index":0,"text":"{}","logprobs":null,"finish_reason":{}}}]}})"
                  "\n\n",
                  text, reason);
}

std::string usage_event(std::string_view id, std::string_view object) {
    return format(R"(data: {{"id":"{}","object":"{}","created":7,"model":"theirs","choices":[],)"
                  R"("usage":{{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}}})"
                  "\n\n",
                  id, object);
}

std::string anthropic_event(std::string_view type, std::string_view rest = "") {
    return format("event: {0}\ndata: {{\"type\":\"{0}\"{1}}}\n\n", type, rest);
}

std::string anthropic_text(std::string_view text) {
    return anthropic_event(
        "content_block_delta",
        format(R"(,"index":0,"delta":{{"type":"text_delta","text":"{}"}})", text));
}

std::string ollama_line(std::string_view said, bool done) {
    return format(R"({{"model":"theirs","created_at":"2025-01-01T00:00:00Z",{},"done":{}}})"
                  "\n",
                  said,
                  done ? R"(true,"done_reason":"stop","total_duration":9,"load_duration":1,)"
                         R"("prompt_eval_count":5,"eval_count":2)"
                       : "false");
}
std::string ollama_chat(std::string_view text, bool done = false) {
    return ollama_line(format(R"("message":{{"role":"assistant","content":"{}"}})", text), done);
}
std::string ollama_text(std::string_view text, bool done = false) {
    return ollama_line(format(R"("response":"{}")", text), done);
}

constexpr const char* kEventStream = "text/event-stream";
constexpr const char* kOpenaiError =
    "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\"}}\n\n";

UpstreamWire openai_chat() {
    return {.name = "openai chat",
            .kind = "o",
            .path = "/v1/chat/completions",
            .content_type = kEventStream,
            .events = {chat_event(R"({"role":"assistant","content":""})"),
                       chat_event(R"({"content":"Hel"})"), chat_event(R"({"content":"lo"})"),
                       chat_event("{}", R"("stop")"), usage_event("c1", "chat.completion.chunk"),
                       "data: [DONE]\n\n"},
            .first = 1,
            .malformed = "data: {\"choices\":[{\"delta\n\n",
            .error = kOpenaiError,
            .again = chat_event(R"({"content":"lo"})"),
            .silent = ": working\n\n",
            .big = R"(data: {"choices":[{"index":0,"delta":{"content":")"};
}

UpstreamWire openai_text() {
    return {.name = "openai completions",
            .kind = "o",
            .path = "/v1/completions",
            .content_type = kEventStream,
            .events = {text_event("Hel"), text_event("lo"), text_event("", R"("stop")"),
                       usage_event("t1", "text_completion"), "data: [DONE]\n\n"},
            .first = 0,
            .malformed = "data: [1,\n\n",
            .error = kOpenaiError,
            .again = text_event("lo"),
            .silent = ": working\n\n",
            .big = R"(data: {"choices":[{"index":0,"text":")"};
}

UpstreamWire ollama_wire(bool chat) {
    const auto line = chat ? ollama_chat : ollama_text;
    return {.name = chat ? "ollama chat" : "ollama generate",
            .kind = "l",
            .path = chat ? "/api/chat" : "/api/generate",
            .content_type = "application/x-ndjson",
            .events = {line("Hel", false), line("lo", false), line("", true)},
            .first = 0,
            .malformed = "{\"message\":{\"role\n",
            .error = "{\"error\":\"boom\"}\n",
            .again = line("lo", false),
            .silent = line("", false),
            .big = chat ? R"({"message":{"content":")" : R"({"response":")"};
}

UpstreamWire anthropic_wire() {
    return {.name = "anthropic",
            .kind = "a",
            .path = "/v1/messages",
            .content_type = kEventStream,
            .events = {anthropic_event(
                           "message_start",
                           R"(,"message":{"id":"m1","type":"message","role":"assistant",)"
                           R"("model":"theirs","content":[],"stop_reason":null,)"
                           R"("stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}})"),
                       anthropic_event("content_block_start",
                                       R"(,"index":0,"content_block":{"type":"text","text":""})"),
                       anthropic_event("ping"), anthropic_text("Hel"), anthropic_text("lo"),
                       anthropic_event("content_block_stop", R"(,"index":0)"),
                       anthropic_event("message_delta",
                                       R"(,"delta":{"stop_reason":"end_turn","stop_sequence":null})"
                                       R"(,"usage":{"output_tokens":2})"),
                       anthropic_event("message_stop")},
            .first = 3,
            .malformed = "event: content_block_delta\ndata: {\"type\":\n\n",
            .error = anthropic_event("error", R"(,"error":{"type":"api_error","message":"boom"})"),
            .again = anthropic_text("lo"),
            .silent = anthropic_event("ping"),
            .big = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"x\":\""};
}

// A whole answer, cut in the middle.
UpstreamWire whole_wire(const char* name, const char* kind, const char* path, std::string_view body,
                        const char* error) {
    return {.name = name,
            .kind = kind,
            .path = path,
            .content_type = "application/json",
            .events = {std::string(body.substr(0, body.size() / 2)),
                       std::string(body.substr(body.size() / 2))},
            .first = 2,
            .malformed = R"({"choices":[{"message)",
            .error = error,
            .again = "",
            .silent = "   ",
            .big = R"({"big":")"};
}

constexpr const char* kWholeError = R"({"error":{"message":"boom","type":"server_error"}})";

}  // namespace

const std::vector<UpstreamWire>& upstream_wires() {
    static const std::vector<UpstreamWire> wires = {
        openai_chat(),
        openai_text(),
        ollama_wire(true),
        ollama_wire(false),
        anthropic_wire(),
        whole_wire(
            "openai chat, whole", "o", "/v1/chat/completions",
            R"({"id":"c1","object":"chat.completion","created":7,"model":"theirs","choices":)"
            R"([{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":)"
            R"("stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}})",
            kWholeError),
        whole_wire("ollama chat, whole", "l", "/api/chat",
                   R"({"model":"theirs","created_at":"2025-01-01T00:00:00Z","message":{"role":)"
                   R"("assistant","content":"Hello"},"done":true,"done_reason":"stop"})",
                   R"({"error":"boom"})"),
        whole_wire(
            "anthropic, whole", "a", "/v1/messages",
            R"({"id":"m1","type":"message","role":"assistant","model":"theirs","content":)"
            R"([{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,)"
            R"("usage":{"input_tokens":5,"output_tokens":2}})",
            R"({"type":"error","error":{"type":"api_error","message":"boom"}})"),
        whole_wire(
            "openai embeddings", "o", "/v1/embeddings",
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[3,4]}],)"
            R"("model":"theirs","usage":{"prompt_tokens":2,"total_tokens":2}})",
            kWholeError),
        whole_wire("ollama embed", "l", "/api/embed",
                   R"({"model":"theirs","embeddings":[[3,4]],"prompt_eval_count":2})",
                   R"({"error":"boom"})"),
        whole_wire("rerank", "o", "/v1/rerank",
                   R"({"results":[{"index":0,"relevance_score":0.25}],"usage":{"total_tokens":8}})",
                   kWholeError),
    };
    return wires;
}

const UpstreamWire& upstream_wire(std::string_view name) {
    return *std::ranges::find_if(upstream_wires(),
                                 [&](const UpstreamWire& wire) { return wire.name == name; });
}

}  // namespace hearth::system_test
