#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "api/usage_total.h"
#include "base/error.h"
#include "inference/generate.h"

namespace hearth::api {

// Puts the events of a stream together to the answer that a call without a stream gets, in the
// words of the operation (inference/generate.h): texts are joined, tool calls completed,
// probabilities listed, usage added up, what only the last event says is taken from it. Bound:
// kBytesMax, of texts and of what the lists beside them take in memory.
class Collector {
  public:
    static constexpr std::size_t kBytesMax = 64 << 20;

    // `choices`: of each prompt.
    explicit Collector(inference::Operation operation, std::size_t choices = 1)
        : operation_(operation), choices_of_prompt_(static_cast<std::int64_t>(choices)) {}

    // Error: TooLarge.
    Result<void> add(boost::json::object event);
    // "chat.completion", "text_completion", or what /completion answers: a list when there were
    // several prompts.
    boost::json::value finish();

  private:
    // One choice, and a tool call in it.
    struct Call {
        boost::json::object rest;
        std::string name;
        std::string arguments;
    };
    struct Choice {
        std::string text;
        std::string reasoning;
        std::string signature;  // of the reasoning
        bool signed_twice = false;
        std::map<std::int64_t, Call> calls;
        boost::json::array probabilities;
        boost::json::array tokens;
        boost::json::value finish_reason;
        boost::json::object last;  // of /completion: what its last event says
    };

    Choice& choice_of(const boost::json::object& event);
    void add_choice(const boost::json::object& choice);
    void add_delta(Choice& to, const boost::json::object& delta);
    void add_signature(Choice& to, std::string_view signature);
    void add_call(Choice& to, const boost::json::object& delta);
    void add_native(boost::json::object event);
    void add_head(boost::json::object& event);
    void append_list(boost::json::array& to, const boost::json::object& from, std::string_view key);
    boost::json::object finish_choice(std::int64_t index, Choice& choice) const;
    boost::json::object finish_message(Choice& choice) const;
    boost::json::value finish_native();

    const inference::Operation operation_;
    const std::int64_t choices_of_prompt_;
    std::size_t bytes_ = 0;
    boost::json::object head_;  // id, model, timings...
    UsageTotal usage_;
    std::map<std::int64_t, Choice> choices_;
};

}  // namespace hearth::api
