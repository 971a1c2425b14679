#include "matrix_dialects.h"

#include <stdexcept>

#include "base/format.h"

namespace hearth::system_test::matrix {
namespace {

namespace json = boost::json;

constexpr Dialect kDialects[] = {
    {"/v1/chat/completions", "OpenAI", Sort::Chat, Form::Chat, Errors::Openai},
    {"/v1/responses", "OpenAI", Sort::Chat, Form::Responses, Errors::Openai},
    {"/v1/messages", "Anthropic", Sort::Chat, Form::Messages, Errors::Anthropic},
    {"/api/chat", "Ollama", Sort::Chat, Form::OllamaChat, Errors::Ollama},
    {"/api/generate", "Ollama", Sort::Chat, Form::OllamaGenerate, Errors::Ollama},
    {"/v1/completions", "OpenAI", Sort::Text, Form::Completion, Errors::Openai},
    {"/completion", "llama.cpp", Sort::Text, Form::Native, Errors::Openai},
    {"/v1/fim/completions", "Mistral", Sort::Gap, Form::Chat, Errors::Openai},
    {"/infill", "llama.cpp", Sort::Gap, Form::Native, Errors::Openai},
    {"/v1/embeddings", "OpenAI", Sort::Embed, Form::OpenaiVectors, Errors::Openai},
    {"/api/embed", "Ollama", Sort::Embed, Form::OllamaVectors, Errors::Ollama},
    {"/embed", "TEI", Sort::Embed, Form::BareVectors, Errors::Tei, false},
    {"/v1/rerank", "Jina, Cohere", Sort::Rerank, Form::Ranking, Errors::Openai},
    {"/rerank", "TEI", Sort::Rerank, Form::BareRanking, Errors::Tei},
};

json::object schema() {
    return {{"type", "object"},
            {"properties", {{"a", {{"type", "string"}, {"enum", {"y", "n"}}}}}},
            {"required", {"a"}},
            {"additionalProperties", false}};
}

json::object parameters() {
    return {{"type", "object"},
            {"properties", {{"city", {{"type", "string"}, {"enum", {"Rome"}}}}}},
            {"required", {"city"}}};
}

json::array openai_tools() {
    json::object function{{"name", kTool}, {"parameters", parameters()}};
    return {json::object{{"type", "function"}, {"function", std::move(function)}}};
}

json::object response_format() {
    return {{"type", "json_schema"},
            {"json_schema", {{"name", "answer"}, {"schema", schema()}, {"strict", true}}}};
}

std::string data_uri() { return "data:image/png;base64," + std::string(kPicture); }

json::array message(json::array content) {
    return {json::object{{"role", "user"}, {"content", std::move(content)}}};
}

json::object chat_body(const Ask& ask) {
    json::array content{json::object{{"type", "text"}, {"text", ask.text}}};
    if (ask.image) {
        content.push_back({{"type", "image_url"}, {"image_url", {{"url", data_uri()}}}});
    }
    json::object body{{"messages", message(std::move(content))}, {"max_tokens", ask.tokens}};
    if (ask.tools) body["tools"] = openai_tools();
    if (ask.schema) body["response_format"] = response_format();
    return body;
}

json::object responses_body(const Ask& ask) {
    json::array content{json::object{{"type", "input_text"}, {"text", ask.text}}};
    if (ask.image) content.push_back({{"type", "input_image"}, {"image_url", data_uri()}});
    json::object body{{"input", message(std::move(content))}, {"max_output_tokens", ask.tokens}};
    if (ask.tools) {
        body["tools"] = {{{"type", "function"}, {"name", kTool}, {"parameters", parameters()}}};
    }
    if (ask.schema) {
        body["text"] = {
            {"format", {{"type", "json_schema"}, {"name", "answer"}, {"schema", schema()}}}};
    }
    return body;
}

json::object messages_body(const Ask& ask) {
    json::array content{json::object{{"type", "text"}, {"text", ask.text}}};
    if (ask.image) {
        content.push_back(
            {{"type", "image"},
             {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", kPicture}}}});
    }
    json::object body{{"messages", message(std::move(content))}, {"max_tokens", ask.tokens}};
    if (ask.tools) body["tools"] = {{{"name", kTool}, {"input_schema", parameters()}}};
    if (ask.schema) {
        body["output_config"] = {{"format", {{"type", "json_schema"}, {"schema", schema()}}}};
    }
    return body;
}

json::object ollama_body(const Ask& ask, bool chat) {
    json::object body{{"options", {{"num_predict", ask.tokens}, {"temperature", 0}}}};
    json::object said{{"role", "user"}, {"content", ask.text}};
    json::object& holder = chat ? said : body;
    if (ask.image) holder["images"] = {kPicture};
    if (chat) {
        body["messages"] = json::array(1, json::value(std::move(said)));
    } else {
        body["prompt"] = ask.text;
    }
    if (ask.tools) body["tools"] = openai_tools();
    if (ask.schema) body["format"] = schema();
    return body;
}

json::object completion_body(const Ask& ask) {
    json::object body{{"prompt", ask.text}, {"max_tokens", ask.tokens}};
    if (ask.image) {
        body["prompt"] = {{"prompt_string", ask.marker + ask.text},
                          {"multimodal_data", {kPicture}}};
    }
    if (ask.tools) body["tools"] = openai_tools();
    if (ask.schema) body["response_format"] = response_format();
    return body;
}

json::object native_body(const Ask& ask) {
    json::object body = completion_body(ask);
    body.erase("max_tokens");
    body["n_predict"] = ask.tokens;
    if (body.erase("response_format") > 0) body["json_schema"] = schema();
    return body;
}

json::object fim_body(const Ask& ask) {
    json::object body{{"prompt", ask.text}, {"suffix", "}"}, {"max_tokens", ask.tokens}};
    if (ask.tools) body["tools"] = openai_tools();
    if (ask.schema) body["response_format"] = response_format();
    return body;
}

json::object infill_body(const Ask& ask) {
    json::object body{{"input_prefix", ask.text}, {"input_suffix", "}"}, {"n_predict", ask.tokens}};
    if (ask.tools) body["tools"] = openai_tools();
    if (ask.schema) body["json_schema"] = schema();
    return body;
}

json::array texts() {
    json::array out;
    for (const std::string_view text : kTexts) out.push_back(json::value(text));
    return out;
}

json::object texts_body(const Dialect& dialect) {
    switch (dialect.form) {
        case Form::BareVectors: return {{"inputs", texts()}};
        case Form::Ranking: return {{"query", "what is a panda?"}, {"documents", texts()}};
        case Form::BareRanking: return {{"query", "what is a panda?"}, {"texts", texts()}};
        default: return {{"input", texts()}};
    }
}

json::object parts_of(const Dialect& dialect, const Ask& ask) {
    if (dialect.sort == Sort::Gap) {
        return dialect.form == Form::Native ? infill_body(ask) : fim_body(ask);
    }
    switch (dialect.form) {
        case Form::Chat: return chat_body(ask);
        case Form::Responses: return responses_body(ask);
        case Form::Messages: return messages_body(ask);
        case Form::OllamaChat: return ollama_body(ask, true);
        case Form::OllamaGenerate: return ollama_body(ask, false);
        case Form::Completion: return completion_body(ask);
        case Form::Native: return native_body(ask);
        default: return texts_body(dialect);
    }
}

}  // namespace

const std::string_view kPicture =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+"
    "M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

std::span<const Dialect> dialects() { return kDialects; }

bool usage_is_asked_for(const Dialect& dialect) {
    const bool is_form = dialect.form == Form::Chat || dialect.form == Form::Completion;
    return is_form && dialect.sort != Sort::Gap;
}

std::string_view title_of(Column column) {
    switch (column) {
        case Column::Plain: return "plain";
        case Column::Stream: return "stream";
        case Column::Tools: return "tools";
        case Column::ToolStream: return "tool stream";
        case Column::Schema: return "JSON schema";
        case Column::Image: return "image";
        case Column::Usage: return "usage";
        case Column::Error: return "error";
        case Column::Cancel: return "cancel";
    }
    throw std::logic_error("no such column");
}

std::string body_of(const Dialect& dialect, const Ask& ask) {
    json::object body = parts_of(dialect, ask);
    if (dialect.names_model) body["model"] = ask.model;
    if (dialect.sort != Sort::Embed && dialect.sort != Sort::Rerank) {
        body["stream"] = ask.stream;
        if (dialect.errors != Errors::Ollama) body["temperature"] = 0;
    }
    if (ask.include_usage && usage_is_asked_for(dialect)) {
        body["stream_options"] = {{"include_usage", true}};
    }
    return json::serialize(body);
}

}  // namespace hearth::system_test::matrix
