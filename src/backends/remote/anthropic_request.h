#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "inference/generate.h"

namespace hearth::remote {

inline constexpr std::string_view kAnthropicKind = "Anthropic";
// The API requires a limit; this one holds where the caller names none. Thinking comes on top.
inline constexpr std::uint64_t kAnthropicTokens = 8192;

// The body of /v1/messages for a Chat. How hard to think is told as the model understands it:
// Claude 4.6 and later by output_config.effort and adaptive thinking, all others by a budget of
// tokens, the caller's own where there is one (thinking_budget_tokens). A conversation whose last
// turn called a tool goes without a budget when the turn's own thinking did not come back with its
// signature: the API refuses such a one.
Result<boost::json::object> anthropic_body(const inference::GenerateRequest& request,
                                           std::string_view model);

// The conversation as "system" and "messages" of such a body. Errors: InvalidArgument, Unsupported.
Result<void> set_conversation(const boost::json::array& messages, boost::json::object& body);

// Whether the conversation may go on with thinking that has a budget, see above.
bool may_think(const boost::json::array& translated);

}  // namespace hearth::remote
