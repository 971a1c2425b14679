// Triton's management API and the stream of its generate extension; kserve_call.h has the rest.
#include <boost/json.hpp>
#include <set>
#include <utility>

#include "backends/remote/chunks.h"
#include "backends/remote/members.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/wire.h"
#include "backends/remote/wire_json.h"
#include "http/event_stream.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateRequest;
using inference::Usage;

constexpr std::string_view kTritonName = "Triton";

// The protocol has no word for its end: the end is that of the body, which must come between two
// events, after at least one.
class TritonStream final : public WireStream {
  public:
    TritonStream(const GenerateRequest& request, Stamp stamp)
        : parser_(kEventBytesMax), chunks_(request.operation, std::move(stamp)) {}

    Result<void> feed(std::string_view bytes) override {
        for (const char c : bytes) note_end(c);
        return parser_.feed(bytes, [this](const http::Event& event) { return take(event.data); });
    }
    Result<void> finish() override {
        if (complete_) return {};
        if (!between_events_ || !has_answer_) return stream_cut();
        complete_ = true;
        chunks_.end(reason_, usage_);
        return {};
    }
    bool complete() const override { return complete_; }
    std::vector<json::object> take_events() override { return chunks_.take(); }
    const Usage& usage() const override { return usage_; }

  private:
    // An event ends with an empty line.
    void note_end(char c) {
        if (c == '\r') return;
        between_events_ = c == '\n' && after_line_;
        after_line_ = c == '\n';
    }

    Result<void> take(std::string_view data) {
        TRY(const json::object event, read_answer(data));
        if (const auto told = told_in_stream(event)) return fail(judge(*told));
        const json::value* text = find(event, "text_output");
        if (text == nullptr || !text->is_string()) return wrong_form("an event has no text_output");
        has_answer_ = true;
        chunks_.begin();
        chunks_.text(text->get_string());
        if (text_at(event, "finish_reason") == "length") reason_ = "length";
        if (const auto count = count_at(event, "num_input_tokens")) usage_.prompt_tokens = count;
        if (const auto count = count_at(event, "num_output_tokens")) {
            // Of each event by itself.
            usage_.completion_tokens = usage_.completion_tokens.value_or(0) + *count;
        }
        return {};
    }

    http::EventStreamParser parser_;
    Chunks chunks_;
    Usage usage_;
    std::string_view reason_ = "stop";
    bool after_line_ = false;
    bool between_events_ = false;
    bool has_answer_ = false;
    bool complete_ = false;
};

std::unexpected<Error> needs_metadata(std::string_view what) {
    return cannot(kTritonName, "model", what, "their calls are made from a model's metadata");
}

class TritonWire final : public Wire {
  public:
    std::string_view kind() const override { return "triton"; }

    Result<http::Call> generate(const GenerateRequest&, std::string_view) const override {
        return needs_metadata("generate from a request alone");
    }
    std::unique_ptr<WireStream> stream(const GenerateRequest& request, Stamp stamp) const override {
        return std::make_unique<TritonStream>(request, std::move(stamp));
    }
    Result<http::Call> embed(const EmbedRequest&, std::string_view) const override {
        return needs_metadata("embed texts: they take tokens");
    }
    Result<EmbedReply> embedded(std::string_view, const EmbedRequest&) const override {
        return needs_metadata("embed texts: they take tokens");
    }

    Error error_of(int status, const http::Headers& headers, std::string_view body) const override {
        return remote_error(status, headers, body);
    }

    http::Call list_models() const override {
        return post_json("/v2/repository/index", {{"ready", true}});
    }
    Result<std::vector<RemoteModel>> listed(std::string_view body) const override {
        boost::system::error_code failed;
        const json::value answer = json::parse(body, failed);
        if (failed || !answer.is_array()) return wrong_form("there is no list of models");
        std::vector<RemoteModel> models;
        std::set<std::string, std::less<>> seen;
        for (const json::value& item : answer.get_array()) {
            const json::object* model = item.if_object();
            if (model == nullptr || text_at(*model, "name").empty()) continue;
            // A server that ignores "ready" says the state of each.
            const std::string_view state = text_at(*model, "state");
            if (!state.empty() && state != "READY") continue;
            // Each of its versions stands there by itself.
            if (!seen.emplace(text_at(*model, "name")).second) continue;
            models.push_back({.name = std::string(text_at(*model, "name")),
                              .context_length = {},
                              .capabilities = {}});
        }
        return models;
    }
    http::Call probe() const override { return read_call("/v2/health/ready"); }
};

}  // namespace

std::unique_ptr<Wire> make_triton_wire() { return std::make_unique<TritonWire>(); }

}  // namespace hearth::remote
