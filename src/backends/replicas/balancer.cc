#include "backends/replicas/balancer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace hearth::replicas {
namespace {

constexpr double kNobody = std::numeric_limits<double>::infinity();
constexpr double kMemory = 0.9;  // of a record, per call

double mixed(double old_value, double now, std::size_t calls) {
    // The first calls weigh alike, so that the very first does not stay for long.
    const auto before = static_cast<double>(calls);
    const double keep = std::min(kMemory, before / (before + 1));
    return keep * old_value + (1 - keep) * now;
}

}  // namespace

Balancer::Balancer(std::size_t replicas, BalancerOptions options)
    : options_(options), records_(replicas) {
    CHECK(replicas > 0 && replicas <= kReplicasMax);
}

Balancer::Balancer(const Balancer& earlier, std::span<const std::optional<std::size_t>> before,
                   BalancerOptions options)
    : Balancer(before.size(), options) {
    const MutexLock lock(earlier.mutex_);
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (before[i]) records_[i] = earlier.records_.at(*before[i]);
    }
    prefixes_ = earlier.prefixes_.renumbered(before);
    turn_ = earlier.turn_;
}

std::optional<std::size_t> Balancer::choose(std::span<const Standing> standings, const Work& work,
                                            Clock::time_point now) {
    const MutexLock lock(mutex_);
    const auto best = best_of(standings, work, now);
    if (!best) return best;
    turn_ = records_[*best].turn;
    records_[*best].turn += 1 / standings[*best].weight;
    return best;
}

std::optional<std::size_t> Balancer::choose_beside(std::span<const Standing> standings,
                                                   const Work& work, Clock::time_point now) {
    const MutexLock lock(mutex_);
    return best_of(standings, work, now);
}

std::optional<std::size_t> Balancer::best_of(std::span<const Standing> standings, const Work& work,
                                             Clock::time_point now) {
    CHECK(standings.size() == records_.size());
    const std::vector<std::size_t> seen = prefixes_.matches(work.prompt, records_.size());
    // Better one that stands out than none.
    bool any_free = false;
    for (std::size_t i = 0; i < standings.size(); ++i) {
        any_free = any_free || (standings[i].usable && records_[i].ejected_until <= now);
    }
    // For its weight: what each owes, and what this call adds.
    std::vector<double> owed(standings.size(), kNobody);
    std::vector<double> added(standings.size(), kNobody);
    for (std::size_t i = 0; i < standings.size(); ++i) {
        const Standing& standing = standings[i];
        if (!standing.usable || (any_free && records_[i].ejected_until > now)) continue;
        const auto saved = static_cast<double>(seen[i]) / static_cast<double>(kBytesPerToken);
        owed[i] = (static_cast<double>(standing.outstanding) - saved) / standing.weight;
        added[i] = static_cast<double>(work.tokens) / standing.weight;
        // One that was away does not get all it missed at once.
        records_[i].turn = std::max(records_[i].turn, turn_ - 1 / standing.weight);
    }
    const auto least = static_cast<std::size_t>(std::ranges::min_element(owed) - owed.begin());
    if (owed[least] == kNobody) return std::nullopt;
    // The turn is for those to whom the beginning of the prompt means the same.
    for (std::size_t i = 0; i < owed.size(); ++i) {
        if (seen[i] != seen[least]) owed[i] = kNobody;
    }
    const std::size_t best = equal_whose_turn_it_is(owed, added, least);
    prefixes_.note(work.prompt, best);
    return best;
}

// Work comes in calls: who owes less than the least would with two like this one is its equal. To
// take the least each time would fill the light ones first, which owe nothing as soon as they have
// done their one call, and give them half as much again as their share; with one call as the bound
// they still get a tenth too many.
std::size_t Balancer::equal_whose_turn_it_is(std::span<const double> owed,
                                             std::span<const double> added,
                                             std::size_t least) const {
    double level = kNobody;
    for (std::size_t i = 0; i < owed.size(); ++i) level = std::min(level, owed[i] + 2 * added[i]);
    std::size_t best = least;
    for (std::size_t i = 0; i < owed.size(); ++i) {
        const bool equal = owed[i] == owed[least] || owed[i] < level;
        if (equal && records_[i].turn < records_[best].turn) best = i;
    }
    return best;
}

void Balancer::succeeded(std::size_t replica, std::optional<std::chrono::nanoseconds> first_token,
                         Clock::time_point begun, Clock::time_point now) {
    const MutexLock lock(mutex_);
    Record& record = records_[replica];
    if (begun < record.ejected_until) return;
    record.failures = mixed(record.failures, 0, record.calls);
    if (first_token) {
        const double seconds = std::chrono::duration<double>(*first_token).count();
        record.first_token = mixed(record.first_token, seconds, record.calls);
    }
    ++record.calls;
    judge(replica, now);
}

void Balancer::failed(std::size_t replica, Clock::time_point begun, Clock::time_point now) {
    const MutexLock lock(mutex_);
    Record& record = records_[replica];
    if (begun < record.ejected_until) return;
    record.failures = mixed(record.failures, 1, record.calls);
    ++record.calls;
    judge(replica, now);
}

bool Balancer::ejected(std::size_t replica, Clock::time_point now) const {
    const MutexLock lock(mutex_);
    return records_[replica].ejected_until > now;
}

bool Balancer::stands_out(const Record& record) const {
    if (record.calls < options_.calls_min) return false;
    const double slow_least = std::chrono::duration<double>(options_.slowness_least).count();
    return std::ranges::any_of(records_, [&](const Record& other) {
        if (&other == &record || other.calls < options_.calls_min) return false;
        if (record.failures > options_.failures_high && other.failures < options_.failures_low) {
            return true;
        }
        return other.first_token > 0 && record.first_token > slow_least &&
               record.first_token > options_.slowness_max * other.first_token;
    });
}

void Balancer::judge(std::size_t replica, Clock::time_point now) {
    Record& record = records_[replica];
    if (record.ejected_until > now || !stands_out(record)) return;
    const auto out = std::ranges::count_if(
        records_, [&](const Record& other) { return other.ejected_until > now; });
    if (2 * (static_cast<std::size_t>(out) + 1) > records_.size()) return;
    // Afterwards it is judged anew.
    record = {.turn = record.turn, .ejected_until = now + options_.eject_time};
}

}  // namespace hearth::replicas
