#include "backends/worker/llama_backend.h"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <string>
#include <utility>

#include "backends/worker/llama_call.h"
#include "backends/worker/llama_embed.h"
#include "backends/worker/llama_rerank.h"
#include "backends/worker/worker_clients.h"
#include "base/format.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::GenerateReply;
using inference::GenerateRequest;
using inference::InquiryRequest;
using inference::RerankReply;
using inference::RerankRequest;
using inference::Sink;
using inference::TokenIds;

constexpr std::size_t kErrorBytesMax = 1 << 20;

http::Call call_for(std::string_view path, const std::string& body) {
    http::Call call{.method = http::Method::Post, .target = std::string(path)};
    if (path == path_of(inference::Inquiry::Properties)) {
        call.method = http::Method::Get;
        return call;
    }
    call.body = body;
    call.headers.add("content-type", "application/json");
    return call;
}

// The end of a call that says nothing about its process.
bool is_callers(Code code) { return code == Code::DeadlineExceeded || code == Code::Cancelled; }

// One attempt at a call: what has come of it so far.
struct Attempt {
    Attempt(const GenerateRequest& request, Sink& sink_in) : sink(sink_in), stream(request) {}

    // Hands on what has come.
    Awaitable<Result<void>> take(std::string_view bytes) {
        if (status != 200) {
            if (refusal.size() + bytes.size() <= kErrorBytesMax) refusal += bytes;
            co_return Result<void>();
        }
        const Result<void> fed = stream.feed(bytes);
        bool said = false;
        for (json::object& event : stream.take_events()) {
            said = true;
            pushed = true;
            sink_failed = true;
            CO_TRY_VOID(co_await sink.push(std::move(event)));
            sink_failed = false;
        }
        if (!fed) {
            told_error = true;
            co_return fed;
        }
        if (said) co_return Result<void>();
        sink_failed = true;
        CO_TRY_VOID(co_await sink.alive());
        sink_failed = false;
        co_return Result<void>();
    }

    Sink& sink;
    LlamaStream stream;
    int status = 0;
    std::string refusal;
    bool pushed = false;       // the caller has seen something
    bool sink_failed = false;  // the caller has left
    bool told_error = false;   // by the engine, inside the stream
    std::uint64_t generation_lost = 0;
};

}  // namespace

struct LlamaBackend::Impl {
    Awaitable<Result<GenerateReply>> generate(const GenerateRequest& request, Sink& sink,
                                              Deadline deadline);
    Awaitable<Result<GenerateReply>> run(const GenerateRequest& request, const std::string& body,
                                         const Fingerprint& fingerprint, Deadline deadline,
                                         Attempt& attempt);
    Result<void> conclude(const Result<http::Reply>& reply, WorkerSupervisor::Lease& lease,
                          Attempt& attempt) const;
    Awaitable<Result<WorkerSupervisor::Lease>> lease(const Fingerprint& fingerprint,
                                                     inference::LoadRequest request,
                                                     Deadline deadline);
    Awaitable<Result<std::string>> post(std::string_view path, std::string body,
                                        std::optional<std::chrono::milliseconds> keep_alive,
                                        Deadline deadline);
    Awaitable<Result<TokenIds>> tokens_of(std::string_view text, bool with_special,
                                          Deadline deadline);
    Awaitable<Result<std::vector<TokenIds>>> tokenize(const EmbedRequest& request,
                                                      Deadline deadline);
    Awaitable<Result<std::size_t>> count_tokens(std::string_view text, Deadline deadline);
    Awaitable<Result<std::size_t>> tokens_around_pair(Deadline deadline);
    Awaitable<Result<void>> fit(RerankRequest& request, Deadline deadline);
    Awaitable<Result<void>> cut(std::string& text, std::size_t tokens, std::size_t tokens_max,
                                inference::Overflow overflow, Deadline deadline);
    Awaitable<Result<RankedDocuments>> rank(std::string_view query,
                                            std::span<const std::string> documents,
                                            std::optional<std::chrono::milliseconds> keep_alive,
                                            Deadline deadline);
    Error cannot(std::string_view what, std::string_view reason) const;
    Error worker_died() const;
    Awaitable<Error> why_lost(std::uint64_t generation, Fingerprint fingerprint, Deadline deadline);
    const std::string& model() const { return supervisor.options().model; }

    runtime::Shards& shards;
    WorkerSupervisor& supervisor;
    const WorkerMetrics metrics;
    const LlamaBackendOptions options;
    WorkerClients clients;
    // What its engine puts around a query and a document; 0: nobody has asked yet.
    std::atomic<std::size_t> around_pair = 0;
};

LlamaBackend::LlamaBackend(runtime::Shards& shards, WorkerSupervisor& supervisor,
                           WorkerMetrics metrics, LlamaBackendOptions options)
    : impl_(std::make_unique<Impl>(
          shards, supervisor, metrics, std::move(options),
          WorkerClients(shards, http::ClientOptions{.idle_connections_max = 16}))) {}

LlamaBackend::~LlamaBackend() = default;

inference::BackendInfo LlamaBackend::info() const {
    return {.name = "llama/" + impl_->model(), .model = impl_->model()};
}

std::string LlamaBackend::identity() const { return impl_->supervisor.options().identity; }

inference::Health LlamaBackend::probe() const { return health_of(impl_->supervisor.state()); }

Awaitable<Result<std::chrono::nanoseconds>> LlamaBackend::load(inference::LoadRequest request,
                                                               Deadline deadline) {
    if (request.keep_alive && request.keep_alive->count() == 0) {
        impl_->supervisor.unload();
        co_return std::chrono::nanoseconds(0);
    }
    const auto begun = Clock::now();
    CO_TRY(auto lease, co_await impl_->lease({}, request, deadline));
    lease.answered();
    co_return Clock::now() - begun;
}

// A process with less context than the request wants is renewed when nobody is inside any more. A
// larger one that cannot be had is no reason to serve nobody.
Awaitable<Result<WorkerSupervisor::Lease>> LlamaBackend::Impl::lease(const Fingerprint& fingerprint,
                                                                     inference::LoadRequest request,
                                                                     Deadline deadline) {
    std::size_t wanted = 0;
    if (options.memory && request.context_min > 0) {
        boost::asio::io_context& io = shards.io(shards.current());
        CO_TRY(wanted, co_await options.memory->grow(io, request.context_min));
    }
    for (;;) {
        auto lease = co_await supervisor.lease(fingerprint, request.keep_alive, deadline);
        if (wanted == 0) co_return lease;
        if (!lease) {
            if (lease.error().code == Code::Unavailable) options.memory->shrink();
            co_return lease;
        }
        options.memory->keep();
        if (options.memory->planned_context() >= wanted) co_return lease;
        lease->answered();
        supervisor.renew();
    }
}

Awaitable<Result<GenerateReply>> LlamaBackend::generate(const GenerateRequest& request, Sink& sink,
                                                        Deadline deadline) {
    if (impl_->options.embeds || impl_->options.reranks) {
        co_return fail(impl_->cannot("generates no text", "model_cannot_generate"));
    }
    CO_TRY_VOID(inference::check_translatable(request));
    const auto begun = Clock::now();
    auto reply = co_await impl_->generate(request, sink, deadline);
    impl_->metrics.requests.add();
    if (!reply && reply.error().reason == "poison_request") impl_->metrics.poison.add();
    impl_->metrics.seconds.observe(std::chrono::duration<double>(Clock::now() - begun).count());
    co_return reply;
}

// Twice at most: the second time only when the first lost its process before the caller saw a word.
Awaitable<Result<GenerateReply>> LlamaBackend::Impl::generate(const GenerateRequest& request,
                                                              Sink& sink, Deadline deadline) {
    const std::string body = encode_llama_call(request);
    const Fingerprint fingerprint = fingerprint_of(body);
    for (int attempts = 1;; ++attempts) {
        Attempt attempt(request, sink);
        auto reply = co_await run(request, body, fingerprint, deadline, attempt);
        const bool lost = !reply && attempt.generation_lost != 0;
        if (!lost || deadline.passed()) co_return reply;
        if (attempts < kAttemptsMax && !attempt.pushed) {
            metrics.retries.add();
            continue;
        }
        co_return fail(co_await why_lost(attempt.generation_lost, fingerprint, deadline));
    }
}

Awaitable<Result<GenerateReply>> LlamaBackend::Impl::run(const GenerateRequest& request,
                                                         const std::string& body,
                                                         const Fingerprint& fingerprint,
                                                         Deadline deadline, Attempt& attempt) {
    const auto asked = Clock::now();
    CO_TRY(auto lease,
           co_await this->lease(
               fingerprint, {.keep_alive = request.keep_alive, .context_min = request.context_min},
               deadline));
    GenerateReply answer;
    answer.load_time = Clock::now() - asked;
    const std::shared_ptr<http::Client> client = clients.client_for(lease);
    const auto reply = co_await client->stream(
        call_for(path_of(request.operation), body), deadline,
        [&attempt](const http::Reply& head) {
            attempt.status = head.status;
            return Result<void>();
        },
        [&attempt](std::string_view bytes) { return attempt.take(bytes); });
    CO_TRY_VOID(conclude(reply, lease, attempt));
    answer.usage = attempt.stream.usage();
    co_return answer;
}

// What became of the call, and of the process.
Result<void> LlamaBackend::Impl::conclude(const Result<http::Reply>& reply,
                                          WorkerSupervisor::Lease& lease, Attempt& attempt) const {
    if (reply && attempt.status != 200) {
        lease.answered();
        return fail(decode_llama_error(attempt.status, attempt.refusal));
    }
    if (reply && attempt.stream.complete()) {
        lease.answered();
        return {};
    }
    if (attempt.told_error) {
        lease.answered();
        return fail(reply.error());
    }
    if (!reply && (attempt.sink_failed || is_callers(reply.error().code))) {
        return fail(reply.error());
    }
    attempt.generation_lost = lease.generation();
    lease.broken();
    return fail(worker_died());
}

Error LlamaBackend::Impl::cannot(std::string_view what, std::string_view reason) const {
    std::string_view does = "generates text";
    std::string_view route = "/v1/chat/completions";
    if (options.embeds) {
        does = "makes embeddings";
        route = "/v1/embeddings";
    } else if (options.reranks) {
        does = "reranks documents";
        route = "/v1/rerank";
    }
    return {.code = Code::InvalidArgument,
            .message = format("{} {} and {}; ask {}", model(), does, what, route),
            .reason = std::string(reason),
            .param = "model"};
}

Error LlamaBackend::Impl::worker_died() const {
    return {.code = Code::Unavailable,
            .message = format("the engine of {} ended before the answer was complete; send the "
                              "request again",
                              model()),
            .reason = "worker_died",
            .retry_after = std::chrono::seconds(1)};
}

// What the caller of a call that is not made again is told.
Awaitable<Error> LlamaBackend::Impl::why_lost(std::uint64_t generation, Fingerprint fingerprint,
                                              Deadline deadline) {
    auto checked = co_await supervisor.check_lost(fingerprint, generation, deadline);
    if (!checked) co_return std::move(checked).error();
    co_return worker_died();
}

// One exchange without a stream, made again when its process died. The body of a 200.
Awaitable<Result<std::string>> LlamaBackend::Impl::post(
    std::string_view path, std::string body, std::optional<std::chrono::milliseconds> keep_alive,
    Deadline deadline) {
    const Fingerprint fingerprint = fingerprint_of(body);
    for (int attempts = 1;; ++attempts) {
        CO_TRY(auto lease, co_await supervisor.lease(fingerprint, keep_alive, deadline));
        const std::shared_ptr<http::Client> client = clients.client_for(lease);
        auto reply = co_await client->send(call_for(path, body), deadline);
        if (reply) {
            lease.answered();
            if (reply->status == 200) co_return std::move(reply->body);
            co_return fail(decode_llama_error(reply->status, reply->body));
        }
        if (is_callers(reply.error().code)) co_return fail(std::move(reply).error());
        const std::uint64_t generation = lease.generation();
        lease.broken();
        if (attempts < kAttemptsMax && !deadline.passed()) {
            metrics.retries.add();
            continue;
        }
        co_return fail(co_await why_lost(generation, fingerprint, deadline));
    }
}

Awaitable<Result<json::object>> LlamaBackend::inquire(InquiryRequest request, Deadline deadline) {
    if (request.inquiry == inference::Inquiry::Describe) {
        co_return fail(Code::Unsupported, "a model of this machine is described by its files");
    }
    CO_TRY(const std::string answer,
           co_await impl_->post(path_of(request.inquiry), json::serialize(request.body),
                                std::nullopt, deadline));
    boost::system::error_code failed;
    json::value parsed = json::parse(answer, failed);
    if (failed || !parsed.is_object()) {
        co_return fail(Code::BadUpstream, "the engine's answer is no JSON object");
    }
    co_return std::move(parsed.get_object());
}

Awaitable<Result<EmbedReply>> LlamaBackend::embed(EmbedRequest request, Deadline deadline) {
    if (!impl_->options.embeds) {
        co_return fail(impl_->cannot("makes no embeddings", "model_cannot_embed"));
    }
    const auto begun = Clock::now();
    EmbedReply loaded{.model = impl_->model()};
    // A keep_alive of 0 takes the model out of memory, after the answer if there is to be one.
    const bool only_load = request.inputs.empty();
    CO_TRY(loaded.load_time,
           co_await load(only_load ? inference::LoadRequest{.keep_alive = request.keep_alive}
                                   : inference::LoadRequest{},
                         deadline));
    if (only_load) co_return loaded;
    CO_TRY(const std::vector<TokenIds> texts, co_await impl_->tokenize(request, deadline));
    CO_TRY(const std::string answer,
           co_await impl_->post("/v1/embeddings", encode_embeddings_call(texts, request.normalize),
                                request.keep_alive, deadline));
    CO_TRY(EmbedReply reply, decode_embeddings(answer, texts, request));
    reply.model = impl_->model();
    reply.load_time = loaded.load_time;
    reply.compute_time = Clock::now() - begun - loaded.load_time;
    co_return reply;
}

Awaitable<Result<TokenIds>> LlamaBackend::Impl::tokens_of(std::string_view text, bool with_special,
                                                          Deadline deadline) {
    CO_TRY(const std::string answer,
           co_await post(path_of(inference::Inquiry::Tokenize), encode_tokenize(text, with_special),
                         std::nullopt, deadline));
    co_return decode_tokenize(answer);
}

Awaitable<Result<std::vector<TokenIds>>> LlamaBackend::Impl::tokenize(const EmbedRequest& request,
                                                                      Deadline deadline) {
    constexpr std::string_view kSample = "a";
    CO_TRY(const TokenIds with, co_await tokens_of(kSample, true, deadline));
    CO_TRY(const TokenIds without, co_await tokens_of(kSample, false, deadline));
    CO_TRY(const SpecialTokens special, find_special(with, without));
    std::vector<TokenIds> texts;
    std::size_t total = 0;
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
        TokenIds ids;
        if (const auto* text = std::get_if<std::string>(&request.inputs[i])) {
            CO_TRY(ids, co_await tokens_of(*text, false, deadline));
        } else {
            ids = std::get<TokenIds>(request.inputs[i]);
        }
        CO_TRY(ids, fit_tokens(std::move(ids), special, options.tokens_max, request.overflow, i));
        total += ids.size();
        texts.push_back(std::move(ids));
    }
    if (request.tokens_max > 0 && total > request.tokens_max) {
        co_return fail({.code = Code::InvalidArgument,
                        .message = format("the inputs have {} tokens in total; at most {} are "
                                          "allowed in one request",
                                          total, request.tokens_max),
                        .param = "input"});
    }
    co_return texts;
}

Awaitable<Result<RerankReply>> LlamaBackend::rerank(RerankRequest request, Deadline deadline) {
    if (!impl_->options.reranks) {
        co_return fail(impl_->cannot("does not rerank", "model_cannot_rerank"));
    }
    const auto begun = Clock::now();
    RerankReply reply{.model = impl_->model(), .scores = {}};
    CO_TRY(reply.load_time, co_await load({}, deadline));
    CO_TRY_VOID(co_await impl_->fit(request, deadline));
    CO_TRY(RankedDocuments ranked,
           co_await impl_->rank(request.query, request.documents, request.keep_alive, deadline));
    reply.scores = std::move(ranked.scores);
    reply.tokens = ranked.tokens;
    if (impl_->options.scores_are_odds && !request.raw_scores) squash_scores(reply.scores);
    reply.compute_time = Clock::now() - begun - reply.load_time;
    co_return reply;
}

Awaitable<Result<RankedDocuments>> LlamaBackend::Impl::rank(
    std::string_view query, std::span<const std::string> documents,
    std::optional<std::chrono::milliseconds> keep_alive, Deadline deadline) {
    const auto answer =
        co_await post("/v1/rerank", encode_rerank_call(query, documents), keep_alive, deadline);
    if (!answer) co_return fail(explain_rerank_error(answer.error()));
    co_return decode_rerank(*answer, documents.size());
}

Awaitable<Result<std::size_t>> LlamaBackend::Impl::count_tokens(std::string_view text,
                                                                Deadline deadline) {
    CO_TRY(const TokenIds ids, co_await tokens_of(text, false, deadline));
    co_return ids.size();
}

// Only it knows what that is: special tokens, or a prompt that the file brings.
Awaitable<Result<std::size_t>> LlamaBackend::Impl::tokens_around_pair(Deadline deadline) {
    if (const std::size_t known = around_pair.load(); known > 0) co_return known;
    const std::string sample = "a";
    CO_TRY(const std::size_t own, co_await count_tokens(sample, deadline));
    CO_TRY(const RankedDocuments ranked,
           co_await rank(sample, std::span(&sample, 1), std::nullopt, deadline));
    const std::size_t around = ranked.tokens - std::min<std::size_t>(ranked.tokens, 2 * own);
    around_pair = around;
    co_return around;
}

// Cuts what is too long, or refuses it, as the request says.
Awaitable<Result<void>> LlamaBackend::Impl::fit(RerankRequest& request, Deadline deadline) {
    CO_TRY(const std::size_t around, co_await tokens_around_pair(deadline));
    RerankLengths lengths;
    CO_TRY(lengths.query, co_await count_tokens(request.query, deadline));
    for (const std::string& document : request.documents) {
        CO_TRY(const std::size_t tokens, co_await count_tokens(document, deadline));
        lengths.documents.push_back(tokens);
    }
    CO_TRY(RerankRoom room, share_room(request, lengths, around, options.tokens_max));
    CO_TRY_VOID(co_await cut(request.query, lengths.query, room.query, request.overflow, deadline));
    for (std::size_t i = 0; i < request.documents.size(); ++i) {
        CO_TRY_VOID(co_await cut(request.documents[i], lengths.documents[i], room.document,
                                 request.overflow, deadline));
    }
    co_return Result<void>();
}

Awaitable<Result<void>> LlamaBackend::Impl::cut(std::string& text, std::size_t tokens,
                                                std::size_t tokens_max,
                                                inference::Overflow overflow, Deadline deadline) {
    if (tokens <= tokens_max) co_return Result<void>();
    TextCut search(text, tokens, tokens_max, overflow);
    while (const auto piece = search.next()) {
        CO_TRY(const std::size_t count, co_await count_tokens(*piece, deadline));
        search.counted(count);
    }
    text = std::string(search.found());
    co_return Result<void>();
}

}  // namespace hearth::worker
