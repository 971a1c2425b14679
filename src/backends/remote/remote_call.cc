#include "backends/remote/remote_call.h"

#include <utility>

#include "backends/remote/remote_answer.h"
#include "base/format.h"

namespace hearth::remote {

using inference::GenerateReply;
using inference::GenerateRequest;

Awaitable<Result<GenerateReply>> ask_stream(Upstream& upstream, http::Call call,
                                            const GenerateRequest& request,
                                            const inference::Original* own, inference::Sink& sink,
                                            Deadline deadline) {
    const Deadline end = deadline.earlier(Deadline::after(upstream.options().total_time));
    CO_TRY(Upstream::Visit visit, co_await upstream.visit(end));
    RemoteAnswer answer(upstream, visit, request, own, sink);
    call = upstream.addressed(std::move(call));
    call.moving_limit = &answer.limit();
    // Of an answer that is no stream nothing comes before it is whole.
    if (own != nullptr && !own->stream) {
        call.limits = http::CallLimits{.idle = upstream.options().idle_time};
    }
    const auto reply = co_await upstream.client().stream(
        std::move(call), end, [&answer](const http::Reply& head) { return answer.head(head); },
        [&answer](std::string_view bytes) { return answer.body(bytes); });
    Result<void> ended;
    if (reply || (answer.complete() && !answer.sink_failed())) {
        ended = co_await answer.finish();
    } else {
        ended = std::unexpected(upstream.told(reply.error()));
    }
    if (!ended) {
        // A caller who leaves says nothing of the server.
        if (!answer.sink_failed()) visit.failed(ended.error(), answer.status());
        co_return fail(std::move(ended).error());
    }
    visit.succeeded();
    co_return GenerateReply{.usage = answer.usage()};
}

Awaitable<Result<Answered>> ask_whole(Upstream& upstream, http::Call call, Deadline deadline) {
    const auto begun = Upstream::Clock::now();
    const Deadline end = deadline.earlier(Deadline::after(upstream.options().total_time));
    CO_TRY(Upstream::Visit visit, co_await upstream.visit(end));
    const auto admitted = Upstream::Clock::now();
    auto reply = co_await upstream.client().send(upstream.addressed(std::move(call)), end);
    if (!reply) {
        visit.failed(reply.error(), 0);
        co_return fail(upstream.told(std::move(reply).error()));
    }
    if (reply->status != 200) {
        Error error = upstream.wire().error_of(reply->status, reply->headers, reply->body);
        visit.failed(error, reply->status);
        co_return fail(std::move(error));
    }
    co_return Answered{.visit = std::move(visit),
                       .headers = std::move(reply->headers),
                       .body = std::move(reply->body),
                       .queued = admitted - begun,
                       .took = Upstream::Clock::now() - admitted};
}

std::unexpected<Error> does_not_rerank(const UpstreamOptions& options) {
    return fail({.code = Code::Unsupported,
                 .message = format("{} is a server of the kind {}, which does not rerank",
                                   options.name, options.kind),
                 .reason = "model_cannot_rerank",
                 .param = "model"});
}

std::unexpected<Error> does_not_inquire(const UpstreamOptions& options, const std::string& model) {
    return fail({.code = Code::Unsupported,
                 .message = format("{} is served by {}, which does not tell its tokens or "
                                   "templates; models of this machine do",
                                   model, options.name),
                 .reason = "not_local"});
}

}  // namespace hearth::remote
