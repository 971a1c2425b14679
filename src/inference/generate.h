#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "inference/outcome.h"
#include "runtime/awaitable.h"

// The canonical form of a generating call. Its words are those of the OpenAI API with
// llama-server's additions: every engine in front of which we stand takes them, and each dialect is
// translated into them, so that what we do not know of a request or of an answer survives.
namespace hearth::inference {

enum class Operation : std::uint8_t {
    Chat,        // body and events as of POST /v1/chat/completions
    Completion,  // as of POST /v1/completions
    Native,      // as of llama-server's POST /completion
    Infill,      // as of llama-server's POST /infill: a prefix, a suffix, and what stands between
};

// A route whose calls a server that has it too takes as they are. /v1/responses is none: few
// servers have it, and those that do keep what they answer, which ours does not promise.
enum class Dialect : std::uint8_t {
    OpenAiChat,         // POST /v1/chat/completions
    OpenAiCompletion,   // POST /v1/completions
    AnthropicMessages,  // POST /v1/messages
    OllamaChat,         // POST /api/chat
    OllamaGenerate,     // POST /api/generate
};

// A call as its caller wrote it.
struct Original {
    Dialect dialect = Dialect::OpenAiChat;
    std::string body;  // a JSON object
    bool stream = false;
    // Not empty: its stream is not to tell tokens, but the upstream is asked for them, so that we
    // know, with this for its stream_options (JSON).
    std::string usage_wish = {};
    // Fields of its head that belong to the dialect, name and value; of the caller's keys none.
    std::vector<std::pair<std::string, std::string>> headers = {};
};

struct GenerateRequest {
    std::string model;  // as the caller wrote it
    Operation operation = Operation::Chat;
    boost::json::object body;  // without "model", "stream" and "stream_options"
    std::optional<std::chrono::milliseconds> keep_alive;  // negative: for ever
    std::size_t context_min = 0;  // tokens the model must have room for; 0: whatever it has
    // Goes to a server that speaks its dialect, with only the name of the model replaced, so that
    // what we do not know of it survives. Absent where the call is not its caller's alone.
    std::shared_ptr<const Original> original = {};
    // Set where the original asks for what has no canonical words, and `body` lacks it: the error
    // of whoever cannot take the original.
    std::shared_ptr<const Error> untranslatable = {};
    // Of a chat: its last message is the beginning of the answer, and only the rest is asked for.
    bool opens_answer = false;
};

// The names of the most tokens of an answer, of which the first one that is there counts.
inline constexpr std::array<std::string_view, 3> kTokensLimits = {
    "n_predict", "max_completion_tokens", "max_tokens"};
// nullptr: the body sets no limit.
const boost::json::value* tokens_limit_of(const boost::json::object& body);

// For whoever takes a request's body: the error of what it lacks, if anything.
Result<void> check_translatable(const GenerateRequest& request);

// Tokens and time of one call, as the engine counted them. Absent: it did not say.
struct Usage {
    std::optional<std::uint64_t> prompt_tokens;       // cached ones included
    std::optional<std::uint64_t> cached_tokens;       // of the prompt, read from a cache
    std::optional<std::uint64_t> cache_write_tokens;  // of the prompt, written to one
    std::optional<std::uint64_t> completion_tokens;   // those of reasoning included
    std::optional<std::uint64_t> reasoning_tokens;
    std::optional<std::chrono::nanoseconds> prompt_time;
    std::optional<std::chrono::nanoseconds> completion_time;
};

// Takes over what an event of an engine's stream says of tokens and time.
void note_usage(const boost::json::object& event, Usage& usage);

// Whether an event has a part of the answer in it, or its end: not only who speaks.
bool says_something(const boost::json::object& event);

// Who answers. Known before the first event.
struct Origin {
    std::string model;
    std::string backend;
    Outcome outcome = Outcome::Bypass;
};

// Where an answer goes while it is made: always as a stream, whatever the caller asked for.
// An error of a sink ends the call and is what it returns.
class Sink {
  public:
    virtual ~Sink() = default;
    // Before the first event; again where another takes over before it.
    virtual void begin(Origin origin) = 0;
    // One message of the engine's stream, in the words of the request's operation. Suspends while
    // the reader is slow.
    virtual Awaitable<Result<void>> push(boost::json::object event) = 0;
    // The engine works and has nothing to say yet.
    virtual Awaitable<Result<void>> alive() = 0;
    // Whether it takes an answer to the request's `original` in its own words.
    virtual bool relays() const { return false; }
    // Whether the caller sees what is pushed before the answer has ended. False: up to then another
    // backend can still give the whole of it.
    virtual bool shows_at_once() const { return true; }
    // The answer has begun to say something, which is kept and pushed at its end; again where
    // another backend begins anew.
    virtual void first_word() {}
    // Instead of push(): whole events of a stream, or a whole answer, as the upstream wrote them.
    // `says`: as of says_something().
    virtual Awaitable<Result<void>> relay(std::string_view bytes, bool says);
};

struct GenerateReply {
    Usage usage;
    // Another model than the one asked for answered, or several each made a part of it.
    bool stands_in = false;
    std::chrono::nanoseconds load_time{0};
};

// Questions about a model that generate nothing, in the words of llama-server's route of that name
// where none other are given.
enum class Inquiry : std::uint8_t {
    Tokenize,
    Detokenize,
    ApplyTemplate,
    CountTokens,  // of a chat's prompt, images included: the body of Operation::Chat
    Properties,
    Describe,  // of a model elsewhere, in the words of Ollama's /api/show: "verbose" or nothing
};

struct InquiryRequest {
    std::string model;
    Inquiry inquiry = Inquiry::Tokenize;
    boost::json::object body;
};

}  // namespace hearth::inference
