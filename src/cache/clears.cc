#include "cache/clears.h"

#include <algorithm>

namespace hearth::cache {

bool Filter::matches(const Entry& entry) const {
    return (!space || entry.space == to_string(*space)) &&
           (model.empty() || entry.model == model) && (tenant.empty() || entry.tenant == tenant);
}

void Clears::add(Filter filter) {
    const MutexLock lock(mutex_);
    const std::uint64_t number = count_.load(std::memory_order_relaxed) + 1;
    if (filters_.size() >= kFiltersMax) {
        filters_.clear();
        filter = {};
    }
    filters_.emplace_back(number, std::move(filter));
    count_.store(number, std::memory_order_release);
}

bool Clears::has_killed(const Entry& entry) const {
    if (entry.clears == count()) return false;
    const MutexLock lock(mutex_);
    return std::ranges::any_of(filters_, [&](const auto& clear) {
        return clear.first > entry.clears && clear.second.matches(entry);
    });
}

}  // namespace hearth::cache
