#pragma once

#include <memory>
#include <string>

#include "backends/remote/upstream.h"
#include "inference/backend.h"

namespace hearth::remote {

// A model of a server elsewhere. Thread-safe.
//
// A call whose caller speaks the server's dialect goes there, and its answer comes back, in their
// own words; any other is translated. Silence is bounded by the upstream's limits: to the first
// token and between two pieces. An error that the server tells inside a 200 is an error, and so is
// a stream that ends before its own end.
class RemoteBackend final : public inference::Backend {
  public:
    // `model`: as the server names it.
    RemoteBackend(std::shared_ptr<Upstream> upstream, std::string model);
    ~RemoteBackend() override;

    inference::BackendInfo info() const override;
    std::string identity() const override;
    bool relays(inference::Dialect dialect) const override;
    Awaitable<Result<inference::EmbedReply>> embed(inference::EmbedRequest request,
                                                   Deadline deadline) override;
    // By servers of OpenAI's kind, most of which rerank at /v1/rerank; others: Unsupported. Scores
    // lie between 0 and 1: those of a model that once gave one outside are taken for the model's
    // own numbers from there on, in every answer, so that one scale holds for all of them.
    Awaitable<Result<inference::RerankReply>> rerank(inference::RerankRequest request,
                                                     Deadline deadline) override;
    Awaitable<Result<inference::GenerateReply>> generate(const inference::GenerateRequest& request,
                                                         inference::Sink& sink,
                                                         Deadline deadline) override;
    // What Ollama knows of a model. Else Unsupported: what a server elsewhere makes of a text
    // before it answers is its own affair.
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest request,
                                                   Deadline deadline) override;
    // Told to servers of Ollama's kind. Others bring a model into memory when it is asked
    // something, and take none out: Unsupported.
    Awaitable<Result<std::chrono::nanoseconds>> load(inference::LoadRequest request,
                                                     Deadline deadline) override;
    inference::Health probe() const override;

  private:
    Awaitable<Result<std::chrono::nanoseconds>> load_there(http::Call call, Deadline deadline);

    const std::shared_ptr<Upstream> upstream_;
    const std::string model_;
};

}  // namespace hearth::remote
