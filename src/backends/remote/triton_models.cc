#include "backends/remote/triton_models.h"

#include <algorithm>
#include <array>
#include <utility>

#include "backends/remote/remote_error.h"
#include "base/format.h"
#include "tokens/text_prep.h"

namespace hearth::remote {
namespace {

using inference::EmbedInput;
using inference::EmbedRequest;
using kserve::EmbedPlan;
using kserve::Pooling;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kDoubtTime{5};
constexpr std::size_t kCardsMax = 4096;
constexpr std::size_t kDescribedMax = 256;  // models of a list that are asked about
constexpr std::size_t kProblemBytesMax = 500;
constexpr std::size_t kInlineBytesMax = 32 << 10;  // tokenized in well under a millisecond
constexpr std::size_t kPreparationsMax = 256;      // that wait for the thread
constexpr std::size_t kWindow = 512;               // of models of which nobody says one

Pooling pooling_of(const TritonRules& rules) {
    if (rules.pooling) return *rules.pooling;
    if (rules.tokens == nullptr) return Pooling::Mean;
    switch (rules.tokens->config.pooling) {
        case models::Pooling::Mean: return Pooling::Mean;
        case models::Pooling::Cls: return Pooling::First;
        case models::Pooling::LastToken: return Pooling::Last;
    }
    return Pooling::Mean;
}

models::EncoderConfig config_of(const TritonRules& rules, const EmbedPlan& plan) {
    models::EncoderConfig config;
    if (rules.tokens != nullptr && !plan.takes_text) config = rules.tokens->config;
    config.hidden = plan.dimension.value_or(0);
    if (rules.window != 0) config.tokens_max = rules.window;
    if (config.tokens_max == 0) config.tokens_max = kWindow;
    config.tokens_max = std::min(config.tokens_max, plan.length.value_or(config.tokens_max));
    return config;
}

TritonCard make_card(kserve::Metadata metadata, std::optional<std::size_t> batch_max,
                     const TritonRules& rules, const std::string& server) {
    TritonCard card{.metadata = {},
                    .plan = kserve::plan_embed(metadata, rules.output),
                    .tokens = rules.tokens,
                    .config = {},
                    .rows_max = batch_max.value_or(rules.batch),
                    .normalize = rules.normalize,
                    .generates = kserve::generates(metadata),
                    .read_at = Clock::now()};
    card.metadata = std::move(metadata);
    if (!card.plan) return card;
    card.plan->pooling = pooling_of(rules);
    card.config = config_of(rules, *card.plan);
    card.wants_tokenizer = !card.plan->takes_text && rules.tokens == nullptr;
    if (card.wants_tokenizer) {
        card.plan = fail({.code = Code::Unsupported,
                          .message = format("the model takes tokens; backends.{}.tokenizer must "
                                            "name its tokenizer's folder",
                                            server),
                          .reason = "no_tokenizer",
                          .param = "model"});
    }
    return card;
}

std::size_t bytes_of(const EmbedRequest& request) {
    std::size_t bytes = 0;
    for (const EmbedInput& input : request.inputs) {
        if (const auto* text = std::get_if<std::string>(&input)) bytes += text->size();
    }
    return bytes;
}

Result<void> check_texts(const EmbedRequest& request) {
    if (!request.prompt_name.empty()) {
        return fail({.code = Code::InvalidArgument,
                     .message = format("this model has no prompt \"{}\"; it has: none",
                                       request.prompt_name),
                     .param = "prompt_name"});
    }
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
        if (std::holds_alternative<std::string>(request.inputs[i])) continue;
        return fail({.code = Code::Unsupported,
                     .message = "this model makes tokens of texts itself and takes no token ids; "
                                "send the text",
                     .param = format("input[{}]", i)});
    }
    return {};
}

Result<std::vector<EmbedInput>> to_tokens(const TritonCard& card, const EmbedRequest& request) {
    const tokens::TextPrep prep(*card.tokens->tokenizer, card.config);
    TRY(const auto rules, prep.check(request));
    std::vector<EmbedInput> rows;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
        TRY(auto ids, prep.prepare(request.inputs[i], i, rules));
        total += ids.size();
        rows.emplace_back(std::move(ids));
    }
    if (request.tokens_max == 0 || total <= request.tokens_max) return rows;
    return fail({.code = Code::InvalidArgument,
                 .message = format("the inputs have {} tokens together; {} are allowed", total,
                                   request.tokens_max),
                 .param = "input"});
}

// Where the server has no such route, or keeps it to itself.
bool is_refusal(int status) {
    constexpr std::array kRefusals = {400, 401, 403, 404, 405, 501};
    return std::ranges::find(kRefusals, status) != kRefusals.end();
}

void add_problem(std::string& problem, std::string_view what) {
    if (problem.size() + what.size() > kProblemBytesMax) return;
    problem += format("{}{}", problem.empty() ? "" : "; ", what);
}

}  // namespace

TritonModels::TritonModels(std::shared_ptr<Upstream> upstream, TritonOptions options)
    : upstream_(std::move(upstream)),
      options_(std::move(options)),
      thread_(kPreparationsMax, "too many calls wait to be tokenized") {}
TritonModels::~TritonModels() = default;

const TritonRules& TritonModels::rules_of(const std::string& model) const {
    const auto own = options_.of_model.find(model);
    return own != options_.of_model.end() ? own->second : options_.rules;
}

Error TritonModels::error_of(const http::Reply& reply) const {
    return upstream_->wire().error_of(reply.status, reply.headers, reply.body);
}

// An answer of any status.
Awaitable<Result<http::Reply>> TritonModels::ask(http::Call call, Deadline deadline) {
    CO_TRY(Upstream::Asked asked, co_await upstream_->ask(std::move(call), deadline));
    if (asked.reply.status == 200) {
        asked.visit.succeeded();
    } else {
        asked.visit.failed(error_of(asked.reply), asked.reply.status);
    }
    co_return std::move(asked.reply);
}

Awaitable<Result<TritonModels::Card>> TritonModels::card(std::string model, Deadline deadline) {
    if (Card card = known(model); is_fresh(card)) co_return card;
    auto card = co_await read_card(std::move(model), deadline);
    if (!card) co_return fail(upstream_->told(std::move(card).error()));
    co_return card;
}

TritonModels::Card TritonModels::known(const std::string& model) const {
    const MutexLock lock(mutex_);
    const auto found = cards_.find(model);
    return found != cards_.end() ? found->second : nullptr;
}

bool TritonModels::is_fresh(const Card& card) const {
    return card != nullptr && Clock::now() - card->read_at < 2 * options_.refresh_time;
}

void TritonModels::doubt(const std::string& model, const Error& error) {
    const bool is_refused = error.code == Code::InvalidArgument || error.code == Code::NotFound;
    const MutexLock lock(mutex_);
    const auto known = cards_.find(model);
    if (known == cards_.end()) return;
    if (is_refused || Clock::now() - known->second->read_at > kDoubtTime) cards_.erase(known);
}

Awaitable<Result<TritonModels::Card>> TritonModels::read_card(std::string model,
                                                              Deadline deadline) {
    CO_TRY(const http::Reply told, co_await ask(kserve::metadata_call(model), deadline));
    if (told.status != 200) {
        Error error = error_of(told);
        if (told.status != 404 && told.status != 400) co_return fail(std::move(error));
        doubt(model, {.code = Code::NotFound, .message = {}});
        co_return fail({.code = Code::NotFound,
                        .message = format("{} does not have the model {}: {}",
                                          upstream_->options().name, model, error.message),
                        .reason = "model_not_found"});
    }
    CO_TRY(kserve::Metadata metadata, kserve::parse_metadata(told.body));
    // Only Triton has it.
    CO_TRY(const http::Reply config, co_await ask(kserve::config_call(model), deadline));
    const auto batch_max =
        config.status == 200 ? kserve::parse_batch_max(config.body) : std::nullopt;
    auto card = std::make_shared<const TritonCard>(
        make_card(std::move(metadata), batch_max, rules_of(model), upstream_->options().name));
    const MutexLock lock(mutex_);
    if (cards_.size() >= kCardsMax) cards_.clear();
    cards_[model] = card;
    co_return card;
}

Awaitable<Result<std::vector<EmbedInput>>> TritonModels::prepare(Card card, EmbedRequest request) {
    if (card->plan->takes_text) {
        CO_TRY_VOID(check_texts(request));
        co_return std::move(request.inputs);
    }
    if (bytes_of(request) <= kInlineBytesMax) co_return to_tokens(*card, request);
    co_return co_await thread_.run<std::vector<EmbedInput>>(
        [card = std::move(card), request = std::move(request)] {
            return to_tokens(*card, request);
        });
}

Awaitable<Result<std::vector<RemoteModel>>> TritonModels::read_index(Deadline deadline) {
    CO_TRY(const http::Reply index, co_await ask(upstream_->wire().list_models(), deadline));
    if (index.status == 200) co_return upstream_->wire().listed(index.body);
    if (!is_refusal(index.status)) co_return fail(error_of(index));
    if (options_.named.empty()) {
        co_return fail(Code::Unsupported,
                       format("it does not list its models (status {} of v2/repository/index); "
                              "name them under backends.{}.models",
                              index.status, upstream_->options().name));
    }
    std::vector<RemoteModel> models;
    for (const std::string& name : options_.named) {
        models.push_back({.name = name, .context_length = {}, .capabilities = {}});
    }
    co_return models;
}

Awaitable<bool> TritonModels::describe(RemoteModel& model, std::string& problem,
                                       Deadline deadline) {
    Card card = known(model.name);
    const bool asks = !is_fresh(card);
    const bool has_time = !deadline.passed();
    if (asks && has_time) {
        auto read = co_await read_card(model.name, deadline);
        if (!read) {
            add_problem(problem, format("{}: {}", shown(model.name), read.error().message));
            co_return true;
        }
        card = *std::move(read);
    }
    if (card == nullptr) co_return false;
    if (card->plan) {
        model.capabilities.emplace_back("embedding");
        if (!card->plan->takes_text) model.context_length = card->config.tokens_max;
    }
    if (card->generates) model.capabilities.emplace_back("completion");
    if (card->wants_tokenizer) {
        add_problem(problem, format("{}: {}", shown(model.name), card->plan.error().message));
    }
    co_return !asks || has_time;
}

Awaitable<Result<TritonModels::Listing>> TritonModels::list(Deadline deadline) {
    CO_TRY(const http::Reply ready, co_await ask(upstream_->wire().probe(), deadline));
    Listing listing;
    CO_TRY(listing.models, co_await read_index(deadline));
    if (ready.status != 200) {
        add_problem(listing.problem,
                    format("it is not ready (status {} of v2/health/ready)", ready.status));
    }
    std::size_t described = 0;
    std::size_t left_out = 0;
    for (RemoteModel& model : listing.models) {
        const bool is_served =
            options_.named.empty() ||
            std::ranges::find(options_.named, model.name) != options_.named.end();
        if (!is_served || described++ >= kDescribedMax) continue;
        if (!co_await describe(model, listing.problem, deadline)) ++left_out;
    }
    if (left_out > 0) {
        add_problem(listing.problem,
                    format("there was no time to ask about {} of its models", left_out));
    }
    for (const std::string& name : options_.named) {
        if (std::ranges::find(listing.models, name, &RemoteModel::name) == listing.models.end()) {
            add_problem(listing.problem, format("{}: it does not list this model", name));
        }
    }
    co_return listing;
}

}  // namespace hearth::remote
