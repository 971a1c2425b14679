#include "backends/remote/breaker.h"

#include <algorithm>
#include <utility>

namespace hearth::remote {

Breaker::Pass::Pass(Pass&& other) noexcept
    : breaker_(std::exchange(other.breaker_, nullptr)), era_(other.era_), probes_(other.probes_) {}

Breaker::Pass::~Pass() {
    if (breaker_ != nullptr) breaker_->settle(era_, probes_, std::nullopt, {});
}

void Breaker::Pass::succeeded() {
    if (breaker_ == nullptr) return;
    std::exchange(breaker_, nullptr)->settle(era_, probes_, true, {});
}

void Breaker::Pass::failed(Clock::time_point now) {
    if (breaker_ == nullptr) return;
    std::exchange(breaker_, nullptr)->settle(era_, probes_, false, now);
}

std::optional<Breaker::Pass> Breaker::pass(Clock::time_point now) {
    const MutexLock lock(mutex_);
    if (openings_ == 0) return Pass(*this, era_, false);
    if (probing_ || now < retry_at_) return std::nullopt;
    probing_ = true;
    return Pass(*this, era_, true);
}

Breaker::State Breaker::state(Clock::time_point now) const {
    const MutexLock lock(mutex_);
    if (openings_ == 0) return State::Closed;
    return now < retry_at_ ? State::Open : State::HalfOpen;
}

Breaker::Clock::time_point Breaker::retry_at() const {
    const MutexLock lock(mutex_);
    return retry_at_;
}

void Breaker::settle(std::uint64_t era, bool probed, std::optional<bool> success,
                     Clock::time_point now) {
    const MutexLock lock(mutex_);
    if (era != era_) return;
    if (probed) probing_ = false;
    if (!success) return;
    if (*success) {
        failures_ = 0;
        if (openings_ == 0) return;
        openings_ = 0;
        ++era_;
        return;
    }
    if (!probed && ++failures_ < options_.failures_max) return;
    // Doubling more often than this would pass any bound there can be.
    const auto doublings = std::min<std::size_t>(openings_, 20);
    retry_at_ = now + std::min(options_.open_time * (1 << doublings), options_.open_time_max);
    ++openings_;
    ++era_;
}

}  // namespace hearth::remote
