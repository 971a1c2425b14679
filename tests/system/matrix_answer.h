#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http_probe.h"

// What an answer says, whatever the dialect it is written in.
namespace hearth::system_test::matrix {

// How answers are written, and where their parts stand.
enum class Form : std::uint8_t {
    Chat,
    Completion,
    Responses,
    Messages,
    OllamaChat,
    OllamaGenerate,
    Native,
    OpenaiVectors,
    OllamaVectors,
    BareVectors,
    Ranking,
    BareRanking,
};
enum class Errors : std::uint8_t { Openai, Anthropic, Ollama, Tei };

struct ToolCall {
    std::string id;
    std::string name;
    boost::json::value arguments;
};

struct Answer {
    std::string text;
    std::string finish;  // "stop", "length" or "tool_calls"
    std::vector<ToolCall> calls;
    std::optional<std::int64_t> prompt_tokens;
    std::optional<std::int64_t> completion_tokens;
    bool ended = false;   // the protocol's own end has come
    bool failed = false;  // an error stands in the stream
    std::string error_type;
};

// Of a whole answer or of a stream. Throws where it is not of this form.
Answer read_answer(Form form, const Reply& reply, bool stream);
// The rows of vectors, or the scores as one row, by the number of the document.
std::vector<std::vector<double>> read_rows(Form form, const boost::json::value& answer);

struct Refusal {
    int status = 0;
    std::string type;     // empty where a dialect has none
    std::string message;  // for people
    bool operator==(const Refusal& other) const {
        return status == other.status && type == other.type;
    }
};
// How a dialect says this.
Refusal refusal_of(Errors errors, Code code);
// Throws for a body that is no error of this dialect.
Refusal read_refusal(Errors errors, const Reply& reply);

}  // namespace hearth::system_test::matrix
