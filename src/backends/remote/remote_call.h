#pragma once

#include <chrono>
#include <string>

#include "backends/remote/upstream.h"
#include "base/error.h"
#include "http/client.h"
#include "http/message.h"
#include "inference/generate.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

// One call of a caller's to a server elsewhere, from its turn in the queue to its end.
namespace hearth::remote {

// An exchange without a stream, answered with a 200. What its body is worth is for the caller to
// say to the visit.
struct Answered {
    Upstream::Visit visit;
    http::Headers headers;
    std::string body;
    std::chrono::nanoseconds queued;
    std::chrono::nanoseconds took;
};
// The upstream must outlive the visit.
Awaitable<Result<Answered>> ask_whole(Upstream& upstream, http::Call call, Deadline deadline);

// An answer that goes to `sink` as it comes. `own`: the caller's words, where the server speaks
// their dialect; null: its answer is translated. All must outlive the call.
Awaitable<Result<inference::GenerateReply>> ask_stream(Upstream& upstream, http::Call call,
                                                       const inference::GenerateRequest& request,
                                                       const inference::Original* own,
                                                       inference::Sink& sink, Deadline deadline);

// What no server elsewhere does, or none but those of one kind. Unsupported.
std::unexpected<Error> does_not_rerank(const UpstreamOptions& options);
std::unexpected<Error> does_not_inquire(const UpstreamOptions& options, const std::string& model);

}  // namespace hearth::remote
