#include "api/ollama.h"
#include "api/ollama_manage.h"
#include "backends/worker/llama_quantize.h"
#include "base/format.h"
#include "base/scratch_file.h"
#include "models/create.h"
#include "runtime/shard.h"
#include "server/model_store.h"
#include "server/progress_answer.h"
#include "server/surfaces.h"

// /api/create: a model made of another, or of files sent to /api/blobs.
namespace hearth::server {
namespace ollama = api::ollama;
namespace {

constexpr std::string_view kBlobs = "/api/blobs/";
constexpr auto kProgressTime = std::chrono::milliseconds(500);

// Tells the caller how far it is, twice a second. A caller who leaves ends it.
Awaitable<Result<void>> quantise(boost::asio::io_context& io, const worker::Quantize& what,
                                 ProgressAnswer& answer) {
    const std::string status = format("quantizing model to {}", what.type);
    CO_TRY(const auto run, worker::LlamaQuantize::start(io, what));
    for (;;) {
        auto ended = co_await run->wait(Deadline::after(kProgressTime));
        if (ended) co_return *std::move(ended);
        const worker::TensorCount tensors = run->progress();
        CO_TRY_VOID(
            co_await answer.line(ollama::encode_status(status, tensors.done, tensors.total)));
    }
}

// Weights of that type in a file beside the store's blobs.
Awaitable<Result<ScratchFile>> quantised(const Gateway& gateway, const models::Model& from,
                                         const std::string& asked, ProgressAnswer& answer) {
    const std::string_view type = worker::quantisation_named(asked);
    if (type.empty()) {
        co_return fail({.code = Code::InvalidArgument,
                        .message = format("quantize must be one of {}", worker::quantisations()),
                        .param = "quantize"});
    }
    if (!from.gguf) co_return invalid("only GGUF models can be quantized");
    CO_TRY(ScratchFile file, co_await gateway.store.scratch_file());
    CO_TRY_VOID(co_await quantise(
        gateway.workers.current_io(),
        {.program = gateway.config.llama.program().parent_path() / "llama-quantize",
         .input = from.gguf->file,
         .output = file.path(),
         .type = type,
         .threads = runtime::cpu_quota()},
        answer));
    co_return std::move(file);
}

std::vector<models::NamedBlob> named_blobs(const std::map<std::string, std::string>& files) {
    std::vector<models::NamedBlob> blobs;
    for (const auto& [name, digest] : files) blobs.push_back({.name = name, .digest = digest});
    return blobs;
}

// What the new model is made of.
Awaitable<Result<models::Model>> origin(const Gateway& gateway, const ollama::CreateCall& call) {
    if (call.from.empty()) co_return co_await gateway.store.of_blobs(named_blobs(call.files));
    auto snapshot = gateway.workers.snapshot();
    if (snapshot->catalogue.find(call.from) == nullptr) {
        // Its file may have been put there a moment ago.
        CO_TRY_VOID(co_await gateway.store.refresh());
        snapshot = gateway.workers.snapshot();
    }
    const models::Model* from = snapshot->catalogue.find(call.from);
    if (from == nullptr) co_return fail(unknown_model(call.from));
    co_return *from;
}

Awaitable<Result<void>> create(const Gateway& gateway, ollama::CreateCall call,
                               ProgressAnswer& answer) {
    CO_TRY(const models::ModelName name, gateway.store.new_name(call.model));
    CO_TRY(const models::Model from, co_await origin(gateway, call));
    CO_TRY(auto adapters, co_await gateway.store.adapters_of(named_blobs(call.adapters)));
    ScratchFile weights;
    if (!call.quantise.empty()) {
        CO_TRY(weights, co_await quantised(gateway, from, call.quantise, answer));
    }
    CO_TRY_VOID(co_await gateway.store.create(from,
                                              {.ollama_template = std::move(call.ollama_template),
                                               .system = std::move(call.system),
                                               .parameters = std::move(call.parameters),
                                               .messages = std::move(call.messages),
                                               .licenses = std::move(call.licenses),
                                               .weights = weights.path(),
                                               .adapters = std::move(adapters)},
                                              name));
    co_return co_await answer.line(ollama::encode_status("writing manifest"));
}

// Not every client looks for an answer before it has sent everything.
Awaitable<Result<void>> skip_body(http::Exchange& exchange) {
    for (;;) {
        CO_TRY(const std::string piece, co_await exchange.read_body());
        if (piece.empty()) co_return Result<void>();
    }
}

Result<models::Digest> digest_in(const http::Request& request) {
    return models::Digest::parse(std::string_view(request.path).substr(kBlobs.size()));
}

}  // namespace

bool streams_body(const http::Request& head) {
    return head.method == http::Method::Post && head.path.starts_with(kBlobs);
}

Awaitable<void> ollama_has_blob(const Gateway& gateway, http::Exchange& exchange) {
    const auto digest = digest_in(exchange.request());
    api::Reply reply;
    if (!digest) {
        reply = ollama::encode_error(digest.error());
    } else if (!gateway.store.store().has_blob(*digest)) {
        reply.status = 404;
    }
    co_await answer(exchange, std::move(reply));
}

Awaitable<void> ollama_put_blob(const Gateway& gateway, http::Exchange& exchange) {
    const auto digest = digest_in(exchange.request());
    if (!digest) {
        co_await answer(exchange, ollama::encode_error(digest.error()));
        co_return;
    }
    const bool there = gateway.store.store().has_blob(*digest);
    const auto done = there ? co_await skip_body(exchange)
                            : co_await gateway.store.put_blob(
                                  *digest, [&exchange] { return exchange.read_body(); });
    co_await answer(exchange, done ? api::Reply{.status = there ? 200 : 201}
                                   : ollama::encode_error(done.error()));
}

Awaitable<void> ollama_create(const Gateway& gateway, http::Exchange& exchange) {
    auto call = ollama::parse_create(exchange.request().body);
    if (!call) {
        co_await answer(exchange, ollama::encode_error(call.error()));
        co_return;
    }
    ProgressAnswer out(exchange, call->stream);
    const auto done = co_await create(gateway, *std::move(call), out);
    if (done) {
        co_await out.succeed();
    } else {
        co_await out.refuse(done.error());
    }
}

}  // namespace hearth::server
