#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backends/remote/event_splitter.h"
#include "backends/remote/wire.h"
#include "base/error.h"
#include "http/client.h"
#include "inference/generate.h"

namespace hearth::remote {

// Calls that travel in their caller's own words.

// Whether a server of this kind has the route.
bool speaks(std::string_view kind, inference::Dialect dialect);
// The call with the upstream's own name of the model and, where the original hides it, the wish to
// be told tokens; all else byte for byte, with the dialect's own fields of its head. REQUIRES
// speaks()
http::Call verbatim_call(const inference::Original& original, std::string_view model);
// Whether an event of OpenAI's streams has tokens in it and nothing else: the one that comes last
// where they are asked for.
bool tells_only_usage(std::string_view event);
// How its stream is cut into events.
Framing framing_of(inference::Dialect dialect);

// What an answer that is no stream says of tokens. Errors: what the upstream tells inside a 200,
// and BadUpstream for what is no JSON object.
Result<inference::Usage> check_whole(const Wire& wire, std::string_view body);

}  // namespace hearth::remote
