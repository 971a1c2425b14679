#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/remote/kserve_call.h"
#include "backends/remote/upstream.h"
#include "base/error.h"
#include "base/thread_safety.h"
#include "inference/embed.h"
#include "models/model.h"
#include "runtime/awaitable.h"
#include "runtime/blocking_thread.h"
#include "runtime/deadline.h"
#include "tokens/tokenizer.h"

namespace hearth::remote {

// A tokenizer, and what the folder it came from says of pooling, window and prompts.
struct TokenSource {
    std::unique_ptr<const tokens::Tokenizer> tokenizer;
    models::EncoderConfig config;
};

// How vectors are asked of one model.
struct TritonRules {
    std::shared_ptr<const TokenSource> tokens;  // null: none is configured
    std::optional<kserve::Pooling> pooling;     // nullopt: the tokenizer's folder's, else the mean
    std::string output;                         // the tensor; empty: chosen by its name
    std::size_t window = 0;                     // tokens; 0: the folder's
    std::size_t batch = 32;                     // rows of one call, where the server says nothing
    bool normalize = true;                      // false: never, whatever the caller says
};
struct TritonOptions {
    TritonRules rules;
    std::map<std::string, TritonRules, std::less<>> of_model;  // by the server's name of it
    std::vector<std::string> named;  // models to serve where the server lists none
    std::chrono::milliseconds refresh_time{30'000};
};

// What is known of one model. Immutable.
struct TritonCard {
    kserve::Metadata metadata;
    Result<kserve::EmbedPlan> plan;  // or why it gives no vectors
    std::shared_ptr<const TokenSource> tokens;
    models::EncoderConfig config;  // of the texts: window, prompts, dimensions
    std::size_t rows_max = 0;      // of one call
    bool normalize = true;
    bool generates = false;
    bool wants_tokenizer = false;  // nothing else is missing
    std::chrono::steady_clock::time_point read_at;
};

// The models of a server that speaks KServe's protocol, as it describes them: asked for when they
// are needed or listed, and again when they have grown old. Thread-safe.
class TritonModels {
  public:
    TritonModels(std::shared_ptr<Upstream> upstream, TritonOptions options);
    ~TritonModels();

    using Card = std::shared_ptr<const TritonCard>;
    // Errors: NotFound (reason "model_not_found"), those of Upstream::ask.
    Awaitable<Result<Card>> card(std::string model, Deadline deadline) EXCLUDES(mutex_);
    // A call failed that had been made after it: it may be of another model by now. An answer that
    // fails for another reason says so at most every few seconds: reading a card ends the breaker's
    // count of failures in a row.
    void doubt(const std::string& model, const Error& error) EXCLUDES(mutex_);

    // The inputs of a request as the model takes them: ids with special tokens, or (a model that
    // tokenizes itself) texts. Large ones are tokenized on a thread of their own. Errors:
    // InvalidArgument, Unsupported, Overloaded.
    Awaitable<Result<std::vector<inference::EmbedInput>>> prepare(Card card,
                                                                  inference::EmbedRequest request);

    struct Listing {
        std::vector<RemoteModel> models;
        std::string problem;  // what whoever runs the server should know; empty: nothing
    };
    // The repository's index, or where the server refuses to give it, the models named in the
    // configuration; and what each can do. About which there was no time to ask keeps what was
    // known of it, and the next list gets further.
    Awaitable<Result<Listing>> list(Deadline deadline);

  private:
    Awaitable<Result<http::Reply>> ask(http::Call call, Deadline deadline);
    Awaitable<Result<Card>> read_card(std::string model, Deadline deadline);
    Awaitable<Result<std::vector<RemoteModel>>> read_index(Deadline deadline);
    // False: there was no time to ask.
    Awaitable<bool> describe(RemoteModel& model, std::string& problem, Deadline deadline);
    Card known(const std::string& model) const EXCLUDES(mutex_);  // null: it was never read
    bool is_fresh(const Card& card) const;
    const TritonRules& rules_of(const std::string& model) const;
    Error error_of(const http::Reply& reply) const;

    const std::shared_ptr<Upstream> upstream_;
    const TritonOptions options_;
    mutable Mutex mutex_;
    std::map<std::string, Card> cards_ GUARDED_BY(mutex_);
    runtime::BlockingThread thread_;
};

}  // namespace hearth::remote
