#pragma once

#include <memory>

#include "backends/worker/llama_memory.h"
#include "backends/worker/supervisor.h"
#include "inference/backend.h"

namespace hearth::worker {

struct LlamaBackendOptions {
    bool embeds = false;          // an embedding model, and nothing else
    bool reranks = false;         // a reranker, and nothing else
    bool scores_are_odds = true;  // its scores are log-odds; false: probabilities already
    std::size_t tokens_max = 0;   // of one text of an embedding model, of one pair of a reranker
    std::shared_ptr<LlamaMemory> memory;  // the supervisor's; null: the context never changes
};

// A GGUF model behind its llama-server process. Thread-safe; the shards and the supervisor must
// outlive it. The call goes to llama-server as it is, always as a stream, so that a caller who
// leaves frees its slot with the next token. A call whose process dies before the first event is
// made once more on the next one; after it the error says that the answer is incomplete. A request
// that asks for more context than the process has waits for one that has it.
class LlamaBackend final : public inference::Backend {
  public:
    LlamaBackend(runtime::Shards& shards, WorkerSupervisor& supervisor, WorkerMetrics metrics,
                 LlamaBackendOptions options);
    ~LlamaBackend() override;

    inference::BackendInfo info() const override;
    std::string identity() const override;
    Awaitable<Result<inference::EmbedReply>> embed(inference::EmbedRequest request,
                                                   Deadline deadline) override;
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest request,
                                                     Deadline deadline) override;
    Awaitable<Result<inference::GenerateReply>> generate(const inference::GenerateRequest& request,
                                                         inference::Sink& sink,
                                                         Deadline deadline) override;
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest request,
                                                   Deadline deadline) override;
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest request,
                                                     Deadline deadline) override;
    inference::Health probe() const override;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::worker
