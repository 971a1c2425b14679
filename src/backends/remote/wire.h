#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/client.h"
#include "http/message.h"
#include "inference/embed.h"
#include "inference/generate.h"

// Servers elsewhere as their callers see them: our canonical calls in their words, and their
// answers in ours. Pure: no sockets, no clock but for a Retry-After that is a date.
namespace hearth::remote {

// What an answer is called where the upstream gives it no name of its own.
struct Stamp {
    std::string id;  // "chatcmpl-..."; ids of tool calls are made from it
    std::int64_t created_unix = 0;
};

// A model as an upstream lists it. What it does not tell is absent.
struct RemoteModel {
    std::string name;
    std::optional<std::uint64_t> context_length;
    // In Ollama's words: completion, tools, insert, vision, embedding, thinking.
    std::vector<std::string> capabilities;
    std::optional<std::int64_t> created_unix = {};  // or when it was last changed
};

// What one answer of an upstream says so far. Not thread-safe. Bounds: an event of 16 MiB, 1,024
// tool calls; of the text nothing is kept but the event that has not ended.
class WireStream {
  public:
    virtual ~WireStream() = default;
    // Bytes of a 200's body, cut anywhere. Error: what the upstream tells inside the stream, or
    // BadUpstream for what is no such stream; the events before it can still be taken.
    virtual Result<void> feed(std::string_view bytes) = 0;
    // Of an answer that is passed on as it is: true where this whole event, or line, is a further
    // piece of it, sound and without any news but its text. feed() need not see it then.
    virtual bool is_plain(std::string_view /*event*/) const { return false; }
    // The body has ended. Error: BadUpstream, reason "stream_cut", where the protocol's own end has
    // not come. May add the last events.
    virtual Result<void> finish() = 0;
    // The protocol's own end has come: what follows is ignored.
    virtual bool complete() const = 0;
    // What has come since the last call, in the words of the request's operation.
    virtual std::vector<boost::json::object> take_events() = 0;
    virtual const inference::Usage& usage() const = 0;
};

// The words of one kind of upstream. Immutable, so thread-safe. Calls carry neither address nor
// keys; a target starts with the path that the upstream's own documents give ("/v1/...").
// What an upstream has no words for is Unsupported, with `param` and what can do it; members that
// cannot change an answer (user, metadata, cache_prompt, ...) are left out. keep_alive and
// context_min are told to those who have words for them: elsewhere they are not ours to decide.
class Wire {
  public:
    virtual ~Wire() = default;
    virtual std::string_view kind() const = 0;  // "openai", "ollama", "anthropic", "triton"

    // `model` is the upstream's own name of it. The answer is always a stream.
    // Errors: Unsupported, InvalidArgument.
    virtual Result<http::Call> generate(const inference::GenerateRequest& request,
                                        std::string_view model) const = 0;
    virtual std::unique_ptr<WireStream> stream(const inference::GenerateRequest& request,
                                               Stamp stamp) const = 0;

    // Where an upstream has no word for cutting, it refuses an input over its window, whatever
    // `overflow` says. Errors: Unsupported, InvalidArgument (no inputs, and nothing else to ask).
    virtual Result<http::Call> embed(const inference::EmbedRequest& request,
                                     std::string_view model) const = 0;
    // Rows in the order of the inputs, cut to `dimensions`, normalised if asked for. Upstreams
    // count the tokens of all inputs together: each gets its share by length, and the sum is
    // exact. Errors: BadUpstream, InvalidArgument (more dimensions, or more tokens, than allowed).
    virtual Result<inference::EmbedReply> embedded(
        std::string_view body, const inference::EmbedRequest& request) const = 0;

    // Of a status other than 200. Codes: those of Backend, RateLimited, TooLarge, NotFound (reason
    // "model_not_found"). Refused credentials are no fault of the caller: BadUpstream, reason
    // "upstream_auth", and "upstream_quota" for an account without means. No secret is repeated.
    virtual Error error_of(int status, const http::Headers& headers,
                           std::string_view body) const = 0;

    virtual http::Call list_models() const = 0;
    virtual Result<std::vector<RemoteModel>> listed(std::string_view body) const = 0;
    virtual http::Call probe() const = 0;  // a 200 means that it serves
    // Asks for all that is known of a model, to be answered as Ollama's /api/show is. Nothing where
    // it has no such words.
    virtual std::optional<http::Call> describe(std::string_view, bool /*verbose*/) const {
        return std::nullopt;
    }
};

// Who serves OpenAI's API: vLLM, NIM, LM Studio, llama-server and whatever else is compatible, all
// of which have more words than it, or OpenAI, whose servers refuse every other word.
enum class Openai : std::uint8_t { Compatible, Itself };
std::unique_ptr<Wire> make_openai_wire(Openai server = Openai::Compatible);
std::unique_ptr<Wire> make_ollama_wire();
// max_tokens, which this API requires, is 8,192 where the caller names none.
std::unique_ptr<Wire> make_anthropic_wire();
// KServe v2. Both texts and vectors need the model's metadata: kserve_call.h makes those calls.
std::unique_ptr<Wire> make_triton_wire();
// By its kind; nullptr for one that does not exist. `server`: of the kind "openai".
std::unique_ptr<Wire> make_wire(std::string_view kind, Openai server = Openai::Compatible);

}  // namespace hearth::remote
