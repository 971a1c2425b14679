#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/remote/wire.h"
#include "inference/generate.h"

namespace hearth::remote {

constexpr std::size_t kToolCallsMax = 1024;  // of one answer
constexpr std::size_t kEventBytesMax = 16 << 20;

// BadUpstream: more tool calls than kToolCallsMax.
std::unexpected<Error> too_many_calls();

// Makes the events of one answer with one choice, in the words of its operation
// (inference/generate.h), for upstreams that have other words. Not thread-safe.
class Chunks {
  public:
    Chunks(inference::Operation operation, Stamp stamp);

    // The first sign of an answer; later calls do nothing.
    void begin();
    // `logprobs` as in OpenAI's "logprobs.content".
    void text(std::string_view text, boost::json::array logprobs = {});
    void reasoning(std::string_view text);
    // What lets an upstream recognise its own reasoning when it is sent back.
    void reasoning_signature(std::string_view signature);
    // One call by its number: with id and name once, arguments in any number of pieces.
    void call(std::size_t index, std::string_view id, std::string_view name,
              std::string_view arguments);
    void arguments(std::size_t index, std::string_view piece);
    // The last events. `reason` as in OpenAI's "finish_reason".
    void end(std::string_view reason, const inference::Usage& usage);

    std::vector<boost::json::object> take() { return std::exchange(events_, {}); }

  private:
    void push_delta(boost::json::object delta, boost::json::value logprobs,
                    std::string_view reason);
    void push_text(std::string_view text, boost::json::value logprobs, std::string_view reason);
    void push_native(std::string_view text, boost::json::array probabilities);
    void push_native_end(std::string_view reason, const inference::Usage& usage);
    void push(boost::json::object choice);
    void push_usage(const inference::Usage& usage);
    boost::json::object event() const;
    bool is_native() const;

    const inference::Operation operation_;
    const Stamp stamp_;
    bool begun_ = false;
    std::vector<boost::json::object> events_;
};

}  // namespace hearth::remote
