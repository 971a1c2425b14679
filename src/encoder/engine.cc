#include "encoder/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/format.h"
#include "encoder/calibration.h"
#include "encoder/cpu.h"
#include "encoder/precision.h"
#include "encoder/session.h"

namespace hearth::encoder {
namespace {

constexpr std::chrono::milliseconds kCalibrationMax{600};

class CpuEngine : public Engine {
  public:
    CpuEngine(std::unique_ptr<Forward> forward, Precision precision, const Arrangement& arrangement)
        : forward_(std::move(forward)), precision_(precision), threads_(arrangement.threads) {
        for (std::size_t s = 0; s < arrangement.sessions; ++s) {
            sessions_.push_back(std::make_unique<Session>(*forward_, arrangement.threads));
        }
    }

    const models::EncoderConfig& config() const override { return forward_->config(); }
    Precision precision() const override { return precision_; }
    std::size_t sessions() const override { return sessions_.size(); }
    std::size_t threads() const override { return threads_; }

    Result<void> run(std::size_t session, std::span<const std::int32_t> ids,
                     std::span<const std::uint32_t> lengths, std::span<float> out) override {
        CHECK(session < sessions_.size());
        TRY_VOID(check(ids, lengths, out));
        sessions_[session]->run(ids, lengths, out);
        // A sum is finite only if every term is.
        float sum = 0;
        for (const float value : out) sum += value * 0.0F;
        if (!std::isfinite(sum))
            return fail(Code::Internal, "the model gave a value that is not finite");
        return {};
    }

  private:
    Result<void> check(std::span<const std::int32_t> ids, std::span<const std::uint32_t> lengths,
                       std::span<float> out) const {
        std::size_t total = 0;
        for (const std::uint32_t length : lengths) {
            if (length == 0 || length > config().tokens_max) {
                return fail(Code::InvalidArgument, format("a text of {} tokens; 1 to {} are taken",
                                                          length, config().tokens_max));
            }
            total += length;
        }
        CHECK(total == ids.size() && out.size() == lengths.size() * config().hidden);
        const auto vocabulary = static_cast<std::int64_t>(config().vocabulary);
        for (const std::int32_t id : ids) {
            if (id < 0 || id >= vocabulary) {
                return fail(Code::InvalidArgument,
                            format("token id {} is not below {}", id, vocabulary));
            }
        }
        return {};
    }

    std::unique_ptr<Forward> forward_;
    Precision precision_;
    std::size_t threads_;
    std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const std::filesystem::path& folder,
                                             const EngineOptions& options) {
    TRY(const auto config, models::read_encoder_config(folder));
    const Kernels& kernels = *supported_kernels().front();
    const Precision precision = choose_precision(options.precision, kernels);
    TRY(auto forward, Forward::load(folder, config, kernels, numbers_for(precision, kernels)));
    std::size_t cpus = usable_cpus();
    if (options.cpus_max != 0) cpus = std::min(cpus, options.cpus_max);
    const Arrangement arrangement =
        calibrate(*forward, {.sessions = options.sessions, .threads = options.threads}, cpus,
                  kCalibrationMax);
    return std::make_unique<CpuEngine>(std::move(forward), precision, arrangement);
}

}  // namespace hearth::encoder
