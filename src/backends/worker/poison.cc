#include "backends/worker/poison.h"

#include <algorithm>

#include "base/hash.h"

namespace hearth::worker {

Fingerprint fingerprint_of(std::string_view content) {
    Sha256 hash;
    hash.update(content);
    const auto digest = hash.finish();
    Fingerprint request;
    std::copy_n(digest.begin(), request.bytes.size(), request.bytes.begin());
    return request;
}

std::size_t PoisonTable::deaths(const Fingerprint& request, Time now) const {
    const auto found = index_.find(request);
    if (found == index_.end() || now - found->second->last >= memory_) return 0;
    return found->second->deaths;
}

void PoisonTable::blame(const Fingerprint& request, Time now) {
    while (!entries_.empty() && now - entries_.front().last >= memory_) {
        index_.erase(entries_.front().request);
        entries_.pop_front();
    }
    Entry entry{.request = request, .deaths = 1, .last = now};
    if (const auto found = index_.find(request); found != index_.end()) {
        entry.deaths += found->second->deaths;
        entries_.erase(found->second);
        index_.erase(found);
    }
    if (entries_.size() >= entries_max_) {
        index_.erase(entries_.front().request);
        entries_.pop_front();
    }
    entries_.push_back(entry);
    index_[request] = std::prev(entries_.end());
}

void PoisonTable::clear(const Fingerprint& request) {
    const auto found = index_.find(request);
    if (found == index_.end()) return;
    entries_.erase(found->second);
    index_.erase(found);
}

}  // namespace hearth::worker
