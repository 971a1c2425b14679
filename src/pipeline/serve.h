#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache/answers.h"
#include "inference/backend.h"
#include "pipeline/caller.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"
#include "telemetry/metrics.h"

namespace hearth::pipeline {

// Counters of one model. Thread-safe handles; the registry must outlive them.
struct ModelMetrics {
    ModelMetrics(metrics::Registry& registry, const std::string& model);
    metrics::Counter succeeded;
    metrics::Counter failed;
    metrics::Counter left;  // by callers before the end
    metrics::Counter texts;
    metrics::Counter tokens;
    metrics::Histogram seconds;
};

// The same of reranked documents.
struct RerankMetrics {
    RerankMetrics(metrics::Registry& registry, const std::string& model);
    metrics::Counter succeeded;
    metrics::Counter failed;
    metrics::Counter left;  // by callers before the end
    metrics::Counter documents;
    metrics::Counter tokens;
    metrics::Histogram seconds;
};

// The same of generated answers.
struct GenerateMetrics {
    GenerateMetrics(metrics::Registry& registry, const std::string& model);
    metrics::Counter succeeded;
    metrics::Counter failed;
    metrics::Counter left;  // by callers before the end
    metrics::Counter prompt_tokens;
    metrics::Counter cached_tokens;
    metrics::Counter completion_tokens;
    metrics::Histogram seconds;
    metrics::Histogram first_token_seconds;  // TTFT, loading included
    metrics::Histogram per_token_seconds;    // TPOT: mean of an answer, after its first token
};

// Where a request goes. Immutable, shared by every request on its way.
struct Target {
    std::shared_ptr<inference::Backend> backend;
    ModelMetrics metrics;
    RerankMetrics rerank_metrics;
    GenerateMetrics generate_metrics;
    std::string identity = {};  // of the backend; empty: nothing of it is kept
};

// One step of a request with the time it took, for server-timing.
struct Step {
    const char* name;
    std::chrono::nanoseconds time;
};

struct Served {
    inference::EmbedReply reply;
    std::string backend;
    Outcome outcome = Outcome::Bypass;
    std::vector<Step> steps;
};

struct Reranked {
    inference::RerankReply reply;
    std::string backend;
    Outcome outcome = Outcome::Bypass;
    std::vector<Step> steps;
};

// Every request passes the steps here, in this order, the reason beside each in serve.cc.
// Thread-safe.
class Serve {
  public:
    // Finds the target of a model name as the caller wrote it. Thread-safe, never blocks.
    // Errors: NotFound (reason "model_not_found"), Unavailable.
    using Route = std::function<Result<std::shared_ptr<const Target>>(std::string_view model)>;

    // What is to be done with answers of a model, by its own name, where the caller says nothing.
    // Thread-safe, never blocks.
    using ModeOf = std::function<cache::Mode(std::string_view model)>;

    // `answers`, where it is not null, must outlive it. `mode_of` null: Auto.
    explicit Serve(Route route, cache::Answers* answers = nullptr, ModeOf mode_of = nullptr)
        : route_(std::move(route)), answers_(answers), mode_of_(std::move(mode_of)) {}

    // Errors: those of Route and of inference::Backend::embed, and NotFound (reason "not_cached")
    // for who only wants what is kept.
    Awaitable<Result<Served>> embed(inference::EmbedRequest request, Caller caller,
                                    Deadline deadline) const;
    // Errors: the same, of inference::Backend::rerank.
    Awaitable<Result<Reranked>> rerank(inference::RerankRequest request, Caller caller,
                                       Deadline deadline) const;
    // Errors: the same, of inference::Backend::generate, and those of the sink.
    Awaitable<Result<inference::GenerateReply>> generate(const inference::GenerateRequest& request,
                                                         Caller caller, inference::Sink& sink,
                                                         Deadline deadline) const;
    Awaitable<Result<boost::json::object>> inquire(inference::InquiryRequest request,
                                                   Deadline deadline) const;
    // Brings a model into memory, or (keep_alive 0) takes it out. Returns the time it took.
    Awaitable<Result<std::chrono::nanoseconds>> load(std::string_view model,
                                                     inference::LoadRequest request,
                                                     Deadline deadline) const;

  private:
    // nullptr: not for this call.
    cache::Answers* answers_for(const Target& target, const Caller& caller) const;

    void set_mode(Caller& caller, const Target& target) const;

    Route route_;
    cache::Answers* answers_;
    ModeOf mode_of_;
};

}  // namespace hearth::pipeline
