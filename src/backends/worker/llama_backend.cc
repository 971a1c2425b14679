#include "backends/worker/llama_backend.h"

#include <boost/json.hpp>
#include <string>
#include <utility>

#include "backends/worker/llama_call.h"
#include "backends/worker/llama_embed.h"
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
    Error worker_died() const;
    Awaitable<Error> why_lost(std::uint64_t generation, Fingerprint fingerprint, Deadline deadline);
    const std::string& model() const { return supervisor.options().model; }

    runtime::Shards& shards;
    WorkerSupervisor& supervisor;
    const WorkerMetrics metrics;
    const LlamaBackendOptions options;
    WorkerClients clients;
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

Awaitable<Result<GenerateReply>> LlamaBackend::generate(GenerateRequest request, Sink& sink,
                                                        Deadline deadline) {
    if (impl_->options.embeds) {
        co_return fail(
            {.code = Code::InvalidArgument,
             .message = format("{} makes embeddings and generates no text; ask /v1/embeddings",
                               impl_->model()),
             .reason = "model_cannot_generate",
             .param = "model"});
    }
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
        co_return fail(
            {.code = Code::InvalidArgument,
             .message = format("{} generates text and makes no embeddings", impl_->model()),
             .reason = "model_cannot_embed",
             .param = "model"});
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

}  // namespace hearth::worker
