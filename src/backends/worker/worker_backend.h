#pragma once

#include <memory>

#include "backends/worker/supervisor.h"
#include "inference/backend.h"

namespace hearth::worker {

// A local model behind its worker process. Thread-safe; keeps one connection pool per shard. The
// shards and the supervisor must outlive it. A call whose worker dies before the first byte of the
// answer is made once more on the next worker; one that was inside two deaths is refused:
// InvalidArgument, reason "poison_request". A request without inputs loads the model and answers
// with no vectors; with keep_alive 0 it unloads it.
class WorkerBackend final : public inference::Backend {
  public:
    WorkerBackend(runtime::Shards& shards, WorkerSupervisor& supervisor, WorkerMetrics metrics);
    ~WorkerBackend() override;

    inference::BackendInfo info() const override;
    std::string identity() const override;
    Awaitable<Result<inference::EmbedReply>> embed(inference::EmbedRequest request,
                                                   Deadline deadline) override;
    // InvalidArgument, reason "model_cannot_rerank".
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest request,
                                                     Deadline deadline) override;
    // An encoder generates nothing: InvalidArgument, reason "model_cannot_generate".
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
