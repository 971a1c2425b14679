#include "backends/remote/triton_backend.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "backends/remote/load_call.h"
#include "backends/remote/remote_call.h"
#include "base/format.h"

namespace hearth::remote {

using inference::EmbedInput;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::TokenIds;

// The rows of one call, of one kind, and their places in the request.
struct TritonBackend::Batch {
    std::vector<std::size_t> places;
    std::vector<TokenIds> ids;
    std::vector<std::string> texts;
};

namespace {

Error cannot_embed(Error error, const std::string& model) {
    if (error.reason.empty()) error.reason = "model_cannot_embed";
    error.param = "model";
    return std::move(error).within(model);
}

std::vector<std::size_t> lengths_of(const std::vector<EmbedInput>& rows) {
    std::vector<std::size_t> lengths;
    for (const EmbedInput& row : rows) {
        const auto* ids = std::get_if<TokenIds>(&row);
        lengths.push_back(ids != nullptr ? ids->size() : 0);
    }
    return lengths;
}

// A model of a fixed number of rows gets the last one again until it has them.
template <class Row>
void take_rows(std::vector<EmbedInput>& rows, const std::vector<std::size_t>& places,
               std::optional<std::size_t> fixed, std::vector<Row>& to) {
    for (const std::size_t place : places) to.push_back(std::move(std::get<Row>(rows[place])));
    while (fixed && to.size() < *fixed) to.push_back(Row(to.back()));
}

Result<void> place_rows(const EmbedReply& part, const std::vector<std::size_t>& places,
                        EmbedReply& whole) {
    if (whole.dimension == 0) {
        whole.dimension = part.dimension;
        whole.vectors.resize(whole.tokens.size() * whole.dimension);
    }
    if (part.dimension != whole.dimension) {
        return fail(Code::BadUpstream, "the upstream's vectors differ in length");
    }
    for (std::size_t i = 0; i < places.size(); ++i) {
        std::copy_n(
            part.vectors.begin() + static_cast<std::ptrdiff_t>(i * part.dimension), part.dimension,
            whole.vectors.begin() + static_cast<std::ptrdiff_t>(places[i] * whole.dimension));
        whole.tokens[places[i]] = part.tokens[i];
    }
    whole.queue_time += part.queue_time;
    whole.compute_time += part.compute_time;
    return {};
}

}  // namespace

TritonBackend::TritonBackend(std::shared_ptr<Upstream> upstream,
                             std::shared_ptr<TritonModels> models, std::string model)
    : upstream_(std::move(upstream)), models_(std::move(models)), model_(std::move(model)) {}
TritonBackend::~TritonBackend() = default;

inference::BackendInfo TritonBackend::info() const {
    return {.name = upstream_->options().name, .model = model_};
}

std::string TritonBackend::identity() const { return upstream_->identity_of(model_); }

inference::Health TritonBackend::probe() const { return upstream_->health(); }

Awaitable<Result<EmbedReply>> TritonBackend::embed(EmbedRequest request, Deadline deadline) {
    // Nothing to compute: a call that would only bring the model into memory.
    if (request.inputs.empty()) co_return EmbedReply{.model = model_};
    CO_TRY(const TritonModels::Card card, co_await models_->card(model_, deadline));
    if (!card->plan) co_return fail(cannot_embed(card->plan.error(), model_));
    const EmbedRequest options{.model = {},
                               .inputs = {},
                               .dimensions = request.dimensions,
                               .normalize = request.normalize && card->normalize,
                               .prompt_name = {},
                               .keep_alive = {}};
    CO_TRY(std::vector<EmbedInput> rows, co_await models_->prepare(card, std::move(request)));
    EmbedReply reply{.model = model_, .tokens = std::vector<std::uint32_t>(rows.size())};
    const auto batches = kserve::split_rows(*card->plan, lengths_of(rows), card->rows_max);
    for (const std::vector<std::size_t>& places : batches) {
        Batch batch{.places = places, .ids = {}, .texts = {}};
        if (card->plan->takes_text) {
            take_rows(rows, places, card->plan->rows, batch.texts);
        } else {
            take_rows(rows, places, card->plan->rows, batch.ids);
        }
        const auto part = co_await embed_batch(*card, batch, options, deadline);
        if (!part) {
            models_->doubt(model_, part.error());
            co_return fail(part.error());
        }
        CO_TRY_VOID(place_rows(*part, places, reply));
    }
    co_return reply;
}

Awaitable<Result<EmbedReply>> TritonBackend::embed_batch(const TritonCard& card, const Batch& batch,
                                                         const EmbedRequest& options,
                                                         Deadline deadline) {
    const bool takes_text = card.plan->takes_text;
    CO_TRY(http::Call call, takes_text ? kserve::encode_texts(*card.plan, model_, batch.texts)
                                       : kserve::encode_embed(*card.plan, model_, batch.ids));
    CO_TRY(Answered answered, co_await ask_whole(*upstream_, std::move(call), deadline));
    auto vectors = takes_text ? kserve::decode_texts(*card.plan, answered.headers, answered.body,
                                                     batch.texts, options)
                              : kserve::decode_embed(*card.plan, answered.headers, answered.body,
                                                     batch.ids, options);
    if (!vectors) {
        answered.visit.failed(vectors.error(), 200);
        co_return vectors;
    }
    answered.visit.succeeded();
    vectors->queue_time = answered.queued;
    vectors->compute_time = answered.took;
    co_return vectors;
}

Awaitable<Result<inference::GenerateReply>> TritonBackend::generate(
    const inference::GenerateRequest& request, inference::Sink& sink, Deadline deadline) {
    CO_TRY_VOID(inference::check_translatable(request));
    CO_TRY(const TritonModels::Card card, co_await models_->card(model_, deadline));
    if (!card->generates) {
        co_return fail({.code = Code::Unsupported,
                        .message = format("{} of {} does not generate text: it takes no text_input "
                                          "or gives no text_output{}",
                                          model_, upstream_->options().name,
                                          card->plan ? "; it makes embeddings" : ""),
                        .reason = "model_cannot_generate",
                        .param = "model"});
    }
    CO_TRY(http::Call call, kserve::encode_generate(request, model_, card->metadata));
    co_return co_await ask_stream(*upstream_, std::move(call), request, nullptr, sink, deadline);
}

Awaitable<Result<inference::RerankReply>> TritonBackend::rerank(inference::RerankRequest,
                                                                Deadline) {
    co_return does_not_rerank(upstream_->options());
}

Awaitable<Result<boost::json::object>> TritonBackend::inquire(inference::InquiryRequest, Deadline) {
    co_return does_not_inquire(upstream_->options(), model_);
}

// Which models are in its memory a server of this kind decides itself.
Awaitable<Result<std::chrono::nanoseconds>> TritonBackend::load(inference::LoadRequest request,
                                                                Deadline) {
    CO_TRY_VOID(load_by_itself(upstream_->options(), request));
    co_return std::chrono::nanoseconds(0);
}

}  // namespace hearth::remote
