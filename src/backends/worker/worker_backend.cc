#include "backends/worker/worker_backend.h"

#include <string>
#include <utility>

#include "backends/worker/protocol.h"
#include "backends/worker/worker_clients.h"
#include "base/format.h"

namespace hearth::worker {
namespace {

using Clock = std::chrono::steady_clock;
using inference::EmbedReply;
using inference::EmbedRequest;

Result<void> check(const EmbedRequest& request) {
    if (request.inputs.size() > kInputsMax) {
        return fail({.code = Code::InvalidArgument,
                     .message = format("{} inputs were given; at most {} are allowed",
                                       request.inputs.size(), kInputsMax),
                     .param = "input"});
    }
    if (request.prompt_name.size() > kPromptNameBytesMax) {
        return fail({.code = Code::InvalidArgument,
                     .message = "the prompt name is too long",
                     .param = "prompt_name"});
    }
    if (request.dimensions && (*request.dimensions == 0 || *request.dimensions > kDimensionMax)) {
        return fail(
            {.code = Code::InvalidArgument,
             .message = format("dimensions {} is not 1 to {}", *request.dimensions, kDimensionMax),
             .param = "dimensions"});
    }
    return {};
}

Result<EmbedReply> decode_reply(const http::Reply& reply, const EmbedRequest& request) {
    if (reply.status != 200) {
        TRY(Error error, decode_error(reply.body));
        return fail(std::move(error));
    }
    TRY(EmbedReply answer, decode_answer(reply.body));
    if (answer.tokens.size() != request.inputs.size()) {
        return fail(Code::BadUpstream, format("{} vectors for {} inputs", answer.tokens.size(),
                                              request.inputs.size()));
    }
    return answer;
}

}  // namespace

struct WorkerBackend::Impl {
    Error only_embeds(std::string_view what, std::string_view reason) const;
    Awaitable<Result<EmbedReply>> embed(const EmbedRequest& request, Deadline deadline);
    Awaitable<Result<EmbedReply>> attempt(const EmbedRequest& request, std::string call,
                                          const Fingerprint& fingerprint, Deadline deadline,
                                          std::uint64_t& generation_lost);
    void count(const Result<EmbedReply>& reply, Clock::duration took) const;

    WorkerSupervisor& supervisor;
    const WorkerMetrics metrics;
    WorkerClients clients;
};

WorkerBackend::WorkerBackend(runtime::Shards& shards, WorkerSupervisor& supervisor,
                             WorkerMetrics metrics)
    : impl_(std::make_unique<Impl>(
          supervisor, metrics,
          WorkerClients(shards, http::ClientOptions{.idle_connections_max = 256}))) {}

WorkerBackend::~WorkerBackend() = default;

inference::BackendInfo WorkerBackend::info() const {
    const std::string& model = impl_->supervisor.options().model;
    return {.name = "worker/" + model, .model = model};
}

std::string WorkerBackend::identity() const { return impl_->supervisor.options().identity; }

inference::Health WorkerBackend::probe() const { return health_of(impl_->supervisor.state()); }

Awaitable<Result<EmbedReply>> WorkerBackend::embed(EmbedRequest request, Deadline deadline) {
    if (request.inputs.empty()) {
        EmbedReply reply{.model = impl_->supervisor.options().model};
        CO_TRY(reply.load_time, co_await load({.keep_alive = request.keep_alive}, deadline));
        co_return reply;
    }
    CO_TRY_VOID(check(request));
    const auto begun = Clock::now();
    auto reply = co_await impl_->embed(request, deadline);
    impl_->count(reply, Clock::now() - begun);
    co_return reply;
}

Awaitable<Result<inference::RerankReply>> WorkerBackend::rerank(inference::RerankRequest,
                                                                Deadline) {
    co_return fail(impl_->only_embeds("does not rerank", "model_cannot_rerank"));
}

Awaitable<Result<inference::GenerateReply>> WorkerBackend::generate(
    const inference::GenerateRequest&, inference::Sink&, Deadline) {
    co_return fail(impl_->only_embeds("generates no text", "model_cannot_generate"));
}

Awaitable<Result<boost::json::object>> WorkerBackend::inquire(inference::InquiryRequest, Deadline) {
    co_return fail(impl_->only_embeds("generates no text", "model_cannot_generate"));
}

Awaitable<Result<std::chrono::nanoseconds>> WorkerBackend::load(inference::LoadRequest request,
                                                                Deadline deadline) {
    co_return co_await impl_->supervisor.bring(request.keep_alive, deadline);
}

Error WorkerBackend::Impl::only_embeds(std::string_view what, std::string_view reason) const {
    return {.code = Code::InvalidArgument,
            .message = format("{} makes embeddings and {}; ask /v1/embeddings",
                              supervisor.options().model, what),
            .reason = std::string(reason),
            .param = "model"};
}

// Twice at most: the second time only when the first lost its worker, or never reached it.
Awaitable<Result<EmbedReply>> WorkerBackend::Impl::embed(const EmbedRequest& request,
                                                         Deadline deadline) {
    const std::string call = encode_call({.request = request});
    const Fingerprint fingerprint = fingerprint_of(content_of(call));
    for (int attempts = 1;; ++attempts) {
        std::uint64_t generation_lost = 0;
        auto reply = co_await attempt(request, call, fingerprint, deadline, generation_lost);
        if (reply || generation_lost == 0 || deadline.passed()) co_return reply;
        if (attempts < kAttemptsMax) {
            metrics.retries.add();
            continue;
        }
        CO_TRY_VOID(co_await supervisor.check_lost(fingerprint, generation_lost, deadline));
        co_return reply;
    }
}

// Sets `generation_lost` when the connection to that process broke before the first byte of a
// reply.
Awaitable<Result<EmbedReply>> WorkerBackend::Impl::attempt(const EmbedRequest& request,
                                                           std::string call,
                                                           const Fingerprint& fingerprint,
                                                           Deadline deadline,
                                                           std::uint64_t& generation_lost) {
    const auto asked = Clock::now();
    CO_TRY(auto lease, co_await supervisor.lease(fingerprint, request.keep_alive, deadline));
    const auto entered = Clock::now();
    set_time_left(call, std::chrono::ceil<std::chrono::milliseconds>(deadline.left()));
    http::Call message{.method = http::Method::Post, .target = "/embed", .body = std::move(call)};
    message.headers.add("content-type", std::string(kBinary));
    const std::shared_ptr<http::Client> client = clients.client_for(lease);
    const auto reply = co_await client->send(std::move(message), deadline);
    if (!reply) {
        if (reply.error().code == Code::Unavailable) {
            generation_lost = lease.generation();
            lease.broken();
        }
        co_return fail(Error(reply.error()).told());
    }
    lease.answered();
    auto answer = decode_reply(*reply, request);
    if (answer) {
        answer->model = supervisor.options().model;
        answer->load_time = entered - asked;
    }
    co_return answer;
}

void WorkerBackend::Impl::count(const Result<EmbedReply>& reply, Clock::duration took) const {
    metrics.requests.add();
    metrics.seconds.observe(std::chrono::duration<double>(took).count());
    if (!reply) {
        if (reply.error().reason == "poison_request") metrics.poison.add();
        return;
    }
    metrics.texts.add(static_cast<double>(reply->tokens.size()));
    std::uint64_t tokens = 0;
    for (const std::uint32_t count : reply->tokens) tokens += count;
    metrics.tokens.add(static_cast<double>(tokens));
}

}  // namespace hearth::worker
