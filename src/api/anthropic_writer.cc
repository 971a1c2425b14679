#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <utility>

#include "api/anthropic.h"
#include "api/anthropic_generate.h"
#include "api/anthropic_messages.h"
#include "api/json_body.h"
#include "api/json_text.h"
#include "base/format.h"

namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;
using inference::GenerateReply;

constexpr std::size_t kAnswerBytesMax = 64 << 20;  // of an answer that is kept until its end

enum class BlockKind : std::uint8_t { Thinking, Text, ToolUse };

struct Block {
    BlockKind kind = BlockKind::Text;
    std::string text;       // the thinking, the text, or the input as JSON
    std::string signature;  // of a thinking
    std::string id;         // of a tool's use
    std::string name;
};

struct Counts {
    std::uint64_t prompt = 0;  // those read from a cache or written to one included
    std::uint64_t cached = 0;
    std::uint64_t written = 0;
    std::uint64_t output = 0;
};

std::uint64_t count_of(const json::object& from, std::string_view name) {
    const json::value* count = find(from, name);
    return count != nullptr && count->is_int64() && count->get_int64() > 0
               ? static_cast<std::uint64_t>(count->get_int64())
               : 0;
}

void append_usage(std::string& out, const Counts& counts) {
    const std::uint64_t cached = std::min(counts.prompt, counts.cached);
    const std::uint64_t written = std::min(counts.prompt - cached, counts.written);
    out += format(
        R"("usage":{{"input_tokens":{},"cache_creation_input_tokens":{},"cache_read_input_tokens":{},"output_tokens":{}}})",
        counts.prompt - cached - written, written, cached, counts.output);
}

// Everything but what is in the answer, which stands behind it.
void append_head(std::string& out, const Stamp& stamp, std::string_view model) {
    out += R"("id":)";
    append_text(out, stamp.message_id);
    out += R"(,"type":"message","role":"assistant","model":)";
    append_text(out, model);
}

void append_stop(std::string& out, std::string_view reason, std::string_view sequence) {
    out += R"("stop_reason":)";
    append_text_or_null(out, reason);
    out += R"(,"stop_sequence":)";
    append_text_or_null(out, sequence);
}

// A block as it begins in a stream, without signature and input, or as it is.
void append_block(std::string& out, const Block& block, std::string_view signature,
                  const json::object& input) {
    switch (block.kind) {
        case BlockKind::Thinking:
            out += R"({"type":"thinking","thinking":)";
            append_text(out, block.text);
            out += R"(,"signature":)";
            append_text(out, signature);
            break;
        case BlockKind::Text:
            out += R"({"type":"text","text":)";
            append_text(out, block.text);
            break;
        case BlockKind::ToolUse:
            out += R"({"type":"tool_use","id":)";
            append_text(out, block.id);
            out += R"(,"name":)";
            append_text(out, block.name);
            out += R"(,"input":)";
            append_json(out, input);
    }
    out += '}';
}

// Turns the deltas of an answer into blocks, one after the other, which is how engines write them.
class BlockWriter : public AnswerWriter {
  public:
    BlockWriter(const MessagesCall& call, std::string model, Stamp stamp)
        : model_(std::move(model)),
          stamp_(std::move(stamp)),
          hides_thinking_(call.hides_thinking),
          stops_(call.stops) {}

    Result<void> event(json::object event, std::string& out) override {
        note(event);
        begin(out);
        const json::value* choices = find(event, "choices");
        if (choices == nullptr || !choices->is_array()) return {};
        for (const json::value& choice : choices->get_array()) {
            if (choice.is_object()) TRY_VOID(read_choice(choice.get_object(), out));
        }
        return {};
    }

    void finish(const GenerateReply& reply, std::string& out) override {
        begin(out);
        close(out);
        counts_.prompt = reply.usage.prompt_tokens.value_or(counts_.prompt);
        counts_.cached = reply.usage.cached_tokens.value_or(counts_.cached);
        counts_.written = reply.usage.cache_write_tokens.value_or(0);
        counts_.output = reply.usage.completion_tokens.value_or(0);
        end(out);
    }

  protected:
    virtual void begin(std::string& out) = 0;  // more than once
    virtual void open_block(Block block, std::string& out) = 0;
    virtual Result<void> add_to_block(BlockKind kind, std::string_view text, std::string& out) = 0;
    // `signature`: of a thinking.
    virtual void close_block(BlockKind kind, std::string_view signature, std::string& out) = 0;
    virtual void end(std::string& out) = 0;

    std::string_view stop_reason() const {
        if (finish_reason_ == "length") return "max_tokens";
        if (finish_reason_ == "tool_calls" || call_) return "tool_use";
        if (finish_reason_ == "content_filter") return "refusal";
        return stop_word_.empty() ? "end_turn" : "stop_sequence";
    }
    std::string_view stop_sequence() const {
        return stop_reason() == "stop_sequence" ? std::string_view(stop_word_) : "";
    }

    const std::string model_;
    const Stamp stamp_;
    const bool hides_thinking_;
    Counts counts_;

  private:
    void note(const json::object& event) {
        if (const json::value* progress = find(event, "prompt_progress");
            progress != nullptr && progress->is_object()) {
            counts_.prompt = count_of(progress->get_object(), "total");
            counts_.cached = count_of(progress->get_object(), "cache");
        }
        const json::value* more = find(event, "__verbose");
        if (more == nullptr || !more->is_object()) return;
        // Templates have stop words of their own.
        std::string word = text_of(more->get_object(), "stopping_word");
        if (std::ranges::find(stops_, word) != stops_.end()) stop_word_ = std::move(word);
    }

    Result<void> read_choice(const json::object& choice, std::string& out) {
        if (std::string reason = text_of(choice, "finish_reason"); !reason.empty()) {
            finish_reason_ = std::move(reason);
        }
        const json::value* said = find(choice, "delta");
        if (said == nullptr || !said->is_object()) return {};
        const json::object& delta = said->get_object();
        TRY_VOID(add(BlockKind::Thinking, text_of(delta, "reasoning_content"), out));
        sign(text_of(delta, "reasoning_signature"), out);
        TRY_VOID(add(BlockKind::Text, text_of(delta, "content"), out));
        const json::value* calls = find(delta, "tool_calls");
        if (calls == nullptr || !calls->is_array()) return {};
        for (const json::value& call : calls->get_array()) {
            if (call.is_object()) TRY_VOID(add_call(call.get_object(), out));
        }
        return {};
    }

    Result<void> add(BlockKind kind, std::string_view text, std::string& out) {
        if (text.empty()) return {};
        // What is signed is whole.
        if (open_ != kind || !signature_.empty()) {
            close(out);
            open({.kind = kind}, out);
        }
        if (kind == BlockKind::Thinking && hides_thinking_) return {};
        return add_to_block(kind, text, out);
    }

    // Of the thinking before it, of which nothing may have been told.
    void sign(std::string signature, std::string& out) {
        if (signature.empty()) return;
        if (open_ != BlockKind::Thinking || !signature_.empty()) {
            close(out);
            open({.kind = BlockKind::Thinking}, out);
        }
        signature_ = std::move(signature);
    }

    Result<void> add_call(const json::object& call, std::string& out) {
        const json::value* found = find(call, "index");
        const std::int64_t index = found != nullptr && found->is_int64() ? found->get_int64() : 0;
        json::object function;
        if (const json::value* value = find(call, "function"); value && value->is_object()) {
            function = value->get_object();
        }
        if (open_ != BlockKind::ToolUse || index != call_) {
            if (call_ && index <= *call_) {
                return fail(Code::BadUpstream,
                            "the engine came back to a call of a tool that was complete");
            }
            close(out);
            call_ = index;
            std::string id = text_of(call, "id");
            if (id.empty()) id = format("toolu_{}_{}", stamp_.message_id, index);
            open({.kind = BlockKind::ToolUse, .id = id, .name = text_of(function, "name")}, out);
        }
        const std::string arguments = text_of(function, "arguments");
        if (arguments.empty()) return {};
        return add_to_block(BlockKind::ToolUse, arguments, out);
    }

    void open(Block block, std::string& out) {
        open_ = block.kind;
        open_block(std::move(block), out);
    }

    void close(std::string& out) {
        const std::string signature = std::exchange(signature_, {});
        if (open_) close_block(*open_, signature.empty() ? kOwnSignature : signature, out);
        open_.reset();
    }

    const std::vector<std::string> stops_;
    std::optional<BlockKind> open_;
    std::string signature_;             // of the open block
    std::optional<std::int64_t> call_;  // the last one
    std::string finish_reason_;
    std::string stop_word_;
};

class StreamWriter final : public BlockWriter {
  public:
    using BlockWriter::BlockWriter;

    bool streams() const override { return true; }
    std::string_view content_type() const override { return "text/event-stream"; }
    void alive(std::string& out) override { append_event(out, "ping", ""); }
    void error(const Error& error, std::string& out) override {
        out += "event: error\ndata: ";
        out += encode_error(error, stamp_.request_id).body;
        out += "\n\n";
    }

  private:
    // `rest`: the members after the type, with a comma before each.
    static void append_event(std::string& out, std::string_view type, std::string_view rest) {
        out += format("event: {0}\ndata: {{\"type\":\"{0}\"{1}}}\n\n", type, rest);
    }

    void begin(std::string& out) override {
        if (std::exchange(begun_, true)) return;
        std::string rest = R"(,"message":{)";
        append_head(rest, stamp_, model_);
        rest += R"(,"content":[],)";
        append_stop(rest, "", "");
        rest += ',';
        append_usage(rest, counts_);
        rest += '}';
        append_event(out, "message_start", rest);
    }

    void open_block(Block block, std::string& out) override {
        std::string rest = format(R"(,"index":{},"content_block":)", index_);
        append_block(rest, block, "", {});
        append_event(out, "content_block_start", rest);
    }

    Result<void> add_to_block(BlockKind kind, std::string_view text, std::string& out) override {
        switch (kind) {
            case BlockKind::Thinking: append_delta(out, "thinking_delta", "thinking", text); break;
            case BlockKind::Text: append_delta(out, "text_delta", "text", text); break;
            case BlockKind::ToolUse:
                append_delta(out, "input_json_delta", "partial_json", text);
                break;
        }
        return {};
    }

    void close_block(BlockKind kind, std::string_view signature, std::string& out) override {
        if (kind == BlockKind::Thinking) {
            append_delta(out, "signature_delta", "signature", signature);
        }
        append_event(out, "content_block_stop", format(R"(,"index":{})", index_++));
    }

    void end(std::string& out) override {
        std::string rest = R"(,"delta":{)";
        append_stop(rest, stop_reason(), stop_sequence());
        rest += "},";
        append_usage(rest, counts_);
        append_event(out, "message_delta", rest);
        append_event(out, "message_stop", "");
    }

    void append_delta(std::string& out, std::string_view type, std::string_view member,
                      std::string_view text) const {
        std::string rest =
            format(R"(,"index":{},"delta":{{"type":"{}","{}":)", index_, type, member);
        append_text(rest, text);
        rest += '}';
        append_event(out, "content_block_delta", rest);
    }

    bool begun_ = false;
    std::size_t index_ = 0;
};

class WholeWriter final : public BlockWriter {
  public:
    using BlockWriter::BlockWriter;

    bool streams() const override { return false; }
    std::string_view content_type() const override { return "application/json"; }
    void alive(std::string&) override {}
    void error(const Error& error, std::string& out) override {
        out += encode_error(error, stamp_.request_id).body;
    }

  private:
    void begin(std::string&) override {}

    void open_block(Block block, std::string&) override {
        bytes_ += sizeof(Block) + block.id.size() + block.name.size();
        blocks_.push_back(std::move(block));
    }

    Result<void> add_to_block(BlockKind, std::string_view text, std::string&) override {
        blocks_.back().text += text;
        bytes_ += text.size();
        if (bytes_ <= kAnswerBytesMax) return {};
        return fail(Code::TooLarge,
                    format("the answer is over {} bytes; ask for it as a stream", kAnswerBytesMax));
    }

    void close_block(BlockKind kind, std::string_view signature, std::string&) override {
        if (kind == BlockKind::Thinking) blocks_.back().signature = signature;
        bytes_ += blocks_.back().signature.size();
    }

    void end(std::string& out) override {
        out += '{';
        append_head(out, stamp_, model_);
        out += R"(,"content":[)";
        for (const Block& block : blocks_) {
            if (&block != blocks_.data()) out += ',';
            append_block(out, block, block.signature, input_of(block));
        }
        out += "],";
        append_stop(out, stop_reason(), stop_sequence());
        out += ',';
        append_usage(out, counts_);
        out += '}';
    }

    // What is no object was cut off by a limit, or is a model's mistake.
    static json::object input_of(const Block& block) {
        if (block.kind != BlockKind::ToolUse) return {};
        Result<json::object> parsed = read_object(block.text);
        return parsed ? *std::move(parsed) : json::object();
    }

    std::vector<Block> blocks_;
    std::size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<AnswerWriter> make_writer(const MessagesCall& call, std::string model,
                                          Stamp stamp) {
    if (call.stream) {
        return std::make_unique<StreamWriter>(call, std::move(model), std::move(stamp));
    }
    return std::make_unique<WholeWriter>(call, std::move(model), std::move(stamp));
}

}  // namespace hearth::api::anthropic
