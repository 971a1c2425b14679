#include "backends/remote/remote_backend.h"

#include <boost/json.hpp>
#include <utility>

#include "backends/remote/load_call.h"
#include "backends/remote/remote_call.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/rerank_call.h"
#include "backends/remote/verbatim.h"
#include "backends/remote/wire_json.h"

namespace hearth::remote {

using inference::EmbedReply;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::Original;

RemoteBackend::RemoteBackend(std::shared_ptr<Upstream> upstream, std::string model)
    : upstream_(std::move(upstream)), model_(std::move(model)) {}
RemoteBackend::~RemoteBackend() = default;

inference::BackendInfo RemoteBackend::info() const {
    return {.name = upstream_->options().name, .model = model_};
}

std::string RemoteBackend::identity() const { return upstream_->identity_of(model_); }

bool RemoteBackend::relays(inference::Dialect dialect) const {
    return speaks(upstream_->wire().kind(), dialect);
}

inference::Health RemoteBackend::probe() const { return upstream_->health(); }

Awaitable<Result<GenerateReply>> RemoteBackend::generate(const GenerateRequest& request,
                                                         inference::Sink& sink, Deadline deadline) {
    const Wire& wire = upstream_->wire();
    const Original* own = request.original.get();
    if (own != nullptr && !(sink.relays() && relays(own->dialect))) own = nullptr;
    http::Call call;
    if (own != nullptr) {
        call = verbatim_call(*own, model_);
    } else {
        CO_TRY_VOID(inference::check_translatable(request));
        CO_TRY(call, wire.generate(request, model_));
    }
    co_return co_await ask_stream(*upstream_, std::move(call), request, own, sink, deadline);
}

Awaitable<Result<EmbedReply>> RemoteBackend::embed(inference::EmbedRequest request,
                                                   Deadline deadline) {
    // Nothing to compute: a call that would only bring the model into memory. Ollama has that call.
    const bool loads_there = upstream_->wire().kind() == "ollama";
    if (request.inputs.empty() && !loads_there) co_return EmbedReply{.model = model_};
    CO_TRY(http::Call call, upstream_->wire().embed(request, model_));
    CO_TRY(Answered answered, co_await ask_whole(*upstream_, std::move(call), deadline));
    auto vectors = upstream_->wire().embedded(answered.body, request);
    if (!vectors) {
        answered.visit.failed(vectors.error(), 200);
        co_return vectors;
    }
    answered.visit.succeeded();
    vectors->model = model_;
    vectors->queue_time = answered.queued;
    vectors->compute_time = answered.took;
    co_return vectors;
}

Awaitable<Result<inference::RerankReply>> RemoteBackend::rerank(inference::RerankRequest request,
                                                                Deadline deadline) {
    if (upstream_->wire().kind() != "openai") {
        co_return does_not_rerank(upstream_->options());
    }
    CO_TRY(http::Call call, encode_rerank(request, model_));
    CO_TRY(Answered answered, co_await ask_whole(*upstream_, std::move(call), deadline));
    auto ranked = decode_rerank(answered.body, request.documents.size());
    if (!ranked) {
        answered.visit.failed(ranked.error(), 200);
        co_return ranked;
    }
    answered.visit.succeeded();
    if (upstream_->gives_logits(model_, are_logits(ranked->scores))) {
        put_between_0_and_1(ranked->scores);
    }
    ranked->model = model_;
    ranked->compute_time = answered.took;
    co_return ranked;
}

Awaitable<Result<boost::json::object>> RemoteBackend::inquire(inference::InquiryRequest request,
                                                              Deadline deadline) {
    std::optional<http::Call> call;
    if (request.inquiry == inference::Inquiry::Describe) {
        call = upstream_->wire().describe(model_, flag_at(request.body, "verbose"));
    }
    if (!call) co_return does_not_inquire(upstream_->options(), model_);
    CO_TRY(Answered answered, co_await ask_whole(*upstream_, *std::move(call), deadline));
    auto told = read_answer(answered.body);
    if (told) {
        answered.visit.succeeded();
    } else {
        answered.visit.failed(told.error(), 200);
    }
    co_return told;
}

Awaitable<Result<std::chrono::nanoseconds>> RemoteBackend::load(inference::LoadRequest request,
                                                                Deadline deadline) {
    auto call = load_call(upstream_->wire().kind(), request, model_);
    if (!call) {
        CO_TRY_VOID(load_by_itself(upstream_->options(), request));
        co_return std::chrono::nanoseconds(0);
    }
    const auto begun = Upstream::Clock::now();
    auto loaded = co_await load_there(*std::move(call), deadline);
    const bool is_refused = !loaded && (loaded.error().code == Code::InvalidArgument ||
                                        loaded.error().code == Code::Unsupported);
    if (!is_refused) co_return loaded;
    // It does not generate. If it makes vectors, it is brought into memory by asking for none.
    const auto embeds = co_await embed(
        {.model = model_, .inputs = {}, .prompt_name = {}, .keep_alive = request.keep_alive},
        deadline);
    if (!embeds) co_return loaded;
    co_return Upstream::Clock::now() - begun;
}

Awaitable<Result<std::chrono::nanoseconds>> RemoteBackend::load_there(http::Call call,
                                                                      Deadline deadline) {
    CO_TRY(Answered answered, co_await ask_whole(*upstream_, std::move(call), deadline));
    if (const auto sound = read_sound_answer(answered.body); !sound) {
        answered.visit.failed(sound.error(), 200);
        co_return fail(sound.error());
    }
    answered.visit.succeeded();
    co_return answered.took;
}

}  // namespace hearth::remote
