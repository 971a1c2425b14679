#pragma once

#include <boost/json/object.hpp>
#include <cstddef>

// The log-probabilities of an answer: an engine tells more than was asked for, and /v1/completions
// has a form of its own.
namespace hearth::api::openai {

// Keeps of every token of `logprobs.content` the first `top` alternatives.
void trim_alternatives(boost::json::object& logprobs, std::size_t top);

// Adds to `logprobs` the lists of /v1/completions, made from its "content", which stays:
// tokens, token_logprobs, top_logprobs and text_offset. `offset`: where in the choice's text its
// first token stands, in code points; moved behind its last.
void add_lists(boost::json::object& logprobs, std::size_t& offset);

}  // namespace hearth::api::openai
