#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "models/model.h"

namespace hearth::encoder {

enum class Precision : std::uint8_t { Auto, Fp32, Bf16, Int8 };

Result<Precision> parse_precision(std::string_view text);  // "auto", "fp32", "bf16", "int8"
std::string_view to_string(Precision precision);

struct EngineOptions {
    Precision precision = Precision::Auto;
    std::size_t threads = 0;   // per session; 0: calibrated
    std::size_t sessions = 0;  // 0: calibrated
    std::size_t cpus_max = 0;  // threads x sessions stays at or below; 0: what the process may use
};

// One model, ready to run. Thread-safe: each session index is used by one thread at a time.
// Errors of open: NotFound, InvalidArgument (a truncated, oversized or NaN-filled folder: one
// sentence).
class Engine {
  public:
    static Result<std::unique_ptr<Engine>> open(const std::filesystem::path& folder,
                                                const EngineOptions& options);
    virtual ~Engine() = default;

    virtual const models::EncoderConfig& config() const = 0;
    virtual Precision precision() const = 0;
    virtual std::size_t sessions() const = 0;
    virtual std::size_t threads() const = 0;

    // Runs packed sequences: `ids` holds all of them one after the other, `lengths` one length each
    // (>= 1, special tokens included, <= config().tokens_max). `out` is [lengths.size(), hidden]
    // float32, row-major: pooled over the true tokens, not yet normalised. Blocks; no allocation
    // once warm. Error: Internal when a vector is not finite.
    virtual Result<void> run(std::size_t session, std::span<const std::int32_t> ids,
                             std::span<const std::uint32_t> lengths, std::span<float> out) = 0;
};

}  // namespace hearth::encoder
