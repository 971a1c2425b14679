#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "inference/generate.h"

// Which members of a canonical body an upstream can be told: nothing that would change the answer
// is dropped in silence.
namespace hearth::remote {

// Unsupported with `param`: "KIND upstreams cannot WHAT; CAN".
std::unexpected<Error> cannot(std::string_view kind, std::string param, std::string_view what,
                              std::string_view can);
// InvalidArgument with `param`: "NAME must be EXPECTED".
std::unexpected<Error> must_be(std::string name, std::string_view expected);

// Unsupported for the first member that is neither in `carried` (somebody translates it), nor
// without influence on an answer, nor set to what it is when nobody asks ("n": 1).
Result<void> refuse_others(const boost::json::object& body, std::string_view kind,
                           std::span<const std::string_view> carried);
// The members that only steer a llama-server's own work and travel to nobody.
void erase_engine_members(boost::json::object& body);

// The most tokens to generate, under whichever of its names counts first; nullopt: no limit. An
// answer of no tokens is one of one token here, which the dialect leaves out again.
std::optional<std::uint64_t> tokens_limit(const boost::json::object& body);
// Under every name.
void erase_tokens_limit(boost::json::object& body);

// The stop words, of which there may be one without a list.
boost::json::array stop_words(const boost::json::object& body);

// The schema the answer must follow, of response_format or json_schema.
struct AnswerForm {
    bool any_object = false;
    const boost::json::value* schema = nullptr;  // lies in the body
};
// Errors: InvalidArgument for a response_format of another type.
Result<AnswerForm> answer_form(const boost::json::object& body);

// "none", "minimal", "low", "medium", "high", "xhigh", "max"; empty: nothing was said; "on":
// thinking is wanted, and nobody said how much. Errors: Unsupported for another word, and for
// members of chat_template_kwargs but enable_thinking.
Result<std::string> reasoning_effort(const boost::json::object& body, std::string_view kind);

// The prompt of a Completion or Native call as one text. Errors: Unsupported.
Result<std::string> text_prompt(const boost::json::object& body, std::string_view kind);
// Of an Infill call. Errors: Unsupported for input_extra and prompt.
struct Gap {
    std::string before;
    std::string after;
};
Result<Gap> read_gap(const boost::json::object& body, std::string_view kind);

// The alternatives wanted of each token of a Completion or Native call; nullopt: none wanted.
std::optional<std::uint64_t> wanted_probabilities(const boost::json::object& body);

}  // namespace hearth::remote
