#pragma once

#include <memory>
#include <string>

#include "backends/remote/triton_models.h"
#include "backends/remote/upstream.h"
#include "inference/backend.h"

namespace hearth::remote {

// A model of a server that speaks KServe's protocol. Thread-safe.
//
// Vectors of texts, with our tokens where the model takes tokens, in as many calls as its batch
// makes of them, one after the other; completions of a bare text where it takes text_input. What
// neither of these does is Unsupported.
class TritonBackend final : public inference::Backend {
  public:
    // `model`: as the server names it.
    TritonBackend(std::shared_ptr<Upstream> upstream, std::shared_ptr<TritonModels> models,
                  std::string model);
    ~TritonBackend() override;

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
    struct Batch;
    Awaitable<Result<inference::EmbedReply>> embed_batch(const TritonCard& card, const Batch& batch,
                                                         const inference::EmbedRequest& options,
                                                         Deadline deadline);

    const std::shared_ptr<Upstream> upstream_;
    const std::shared_ptr<TritonModels> models_;
    const std::string model_;
};

}  // namespace hearth::remote
