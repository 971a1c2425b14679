#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "runtime/awaitable.h"
#include "runtime/deadline.h"

namespace boost::asio {
class io_context;
}

// llama.cpp's programs that change and measure a GGUF file, as child processes that end when the
// call does.
namespace hearth::worker {

// A type in llama-quantize's spelling ("Q4_K_M") for what a person wrote ("q4_k_m"); empty: none
// that we offer.
std::string_view quantisation_named(std::string_view text);
// All of them, for a message: "Q2_K, Q3_K_S, ...".
std::string quantisations();

struct Quantize {
    std::filesystem::path program;  // llama-quantize
    std::filesystem::path input;
    std::filesystem::path output;           // written anew
    std::string_view type;                  // of quantisation_named()
    std::filesystem::path importance = {};  // an importance matrix; empty: none
    bool again = false;                     // also tensors that are quantised already
    std::size_t threads = 1;
};

struct TensorCount {
    std::size_t done = 0;
    std::size_t total = 0;  // 0: not known yet
};

// One run of llama-quantize. Shard-local. The destructor ends it; an output file that is not whole
// is removed.
class LlamaQuantize {
  public:
    // Errors: NotFound (no such program), Internal.
    static Result<std::unique_ptr<LlamaQuantize>> start(boost::asio::io_context& io,
                                                        const Quantize& what);
    ~LlamaQuantize();

    TensorCount progress() const;
    // Waits for its end, at most until then; nullopt: it still runs. Errors: InvalidArgument (its
    // reason: the file cannot be quantised), BadUpstream (no reason), Cancelled.
    Awaitable<std::optional<Result<void>>> wait(Deadline until);

  private:
    struct State;
    explicit LlamaQuantize(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

struct Perplexity {
    std::filesystem::path program;  // llama-perplexity
    std::filesystem::path model;
    std::filesystem::path text;  // at least two contexts long
    std::size_t context = 512;   // tokens
    std::size_t chunks_max = 64;
    std::size_t threads = 1;
};

struct PerplexityScore {
    double value = 0;
    double error = 0;  // one standard deviation
};

// Errors: as of a quantisation, NotFound, DeadlineExceeded; InvalidArgument also for a text that is
// too short.
Awaitable<Result<PerplexityScore>> run_llama_perplexity(boost::asio::io_context& io,
                                                        Perplexity what, Deadline deadline);

// "Final estimate: PPL = 12.3 +/- 0.4"; nullopt: another line.
std::optional<PerplexityScore> read_perplexity(std::string_view line);
// "[  12/ 290] blk.0.attn_q.weight ..."; nullopt: another line.
std::optional<TensorCount> read_tensor_line(std::string_view line);

}  // namespace hearth::worker
