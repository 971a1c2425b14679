#include "backends/replicas/work.h"

#include <algorithm>
#include <boost/json.hpp>

namespace hearth::replicas {
namespace {

namespace json = boost::json;

constexpr std::int64_t kAnswerTokens = 512;  // where no limit is asked for
constexpr std::int64_t kAnswerTokensMax = 1 << 20;

// Walks over the texts of a prompt in their order.
class PromptReader {
  public:
    PromptReader(Work& work, bool hashed) : work_(work), hashed_(hashed) {}

    void text(const json::value* value) {
        if (value == nullptr || !value->is_string()) return;
        const std::string_view text = value->get_string();
        if (hashed_) work_.prompt.add(text);
        bytes_ += text.size();
    }
    void message(const json::value& value) {
        const json::object* message = value.if_object();
        if (message == nullptr) return;
        text(message->if_contains("role"));
        const json::value* content = message->if_contains("content");
        text(content);
        if (content == nullptr || !content->is_array()) return;
        for (const json::value& part : content->get_array()) {
            if (part.is_object()) text(part.get_object().if_contains("text"));
        }
    }
    std::size_t bytes() const { return bytes_; }

  private:
    Work& work_;
    const bool hashed_;
    std::size_t bytes_ = 0;
};

std::int64_t answer_tokens(const json::object& body) {
    const json::value* limit = inference::tokens_limit_of(body);
    const double tokens = limit != nullptr ? limit->to_number<double>() : -1;
    if (!(tokens >= 0)) return kAnswerTokens;
    return static_cast<std::int64_t>(std::min<double>(tokens, kAnswerTokensMax));
}

}  // namespace

Work work_of(const inference::GenerateRequest& request, bool hashed) {
    Work work;
    PromptReader reader(work, hashed);
    const json::value* messages = request.body.if_contains("messages");
    if (messages != nullptr && messages->is_array()) {
        for (const json::value& message : messages->get_array()) reader.message(message);
    }
    for (const char* name : {"input_prefix", "prompt"}) reader.text(request.body.if_contains(name));
    work.tokens =
        static_cast<std::int64_t>(reader.bytes() / kBytesPerToken) + answer_tokens(request.body);
    return work;
}

Work work_of(const inference::EmbedRequest& request) {
    Work work;
    for (const inference::EmbedInput& input : request.inputs) {
        const auto* text = std::get_if<std::string>(&input);
        work.tokens += static_cast<std::int64_t>(text != nullptr
                                                     ? text->size() / kBytesPerToken + 1
                                                     : std::get<inference::TokenIds>(input).size());
    }
    return work;
}

Work work_of(const inference::RerankRequest& request) {
    Work work;
    for (const std::string& document : request.documents) {
        const std::size_t bytes = request.query.size() + document.size();
        work.tokens += static_cast<std::int64_t>(bytes / kBytesPerToken + 1);
    }
    return work;
}

}  // namespace hearth::replicas
