#include "cache/answers.h"

#include <memory>
#include <utility>

namespace hearth::cache {
namespace {

template <std::size_t... I>
auto counters_of_all(metrics::Registry& registry, auto make, std::index_sequence<I...>) {
    return std::array{make(registry, kSpaces[I])...};
}

}  // namespace

Answers::Counters Answers::counters_of(metrics::Registry& registry, Space space) {
    const std::string name(to_string(space));
    return {.hits = registry.counter("hearth_cache_hits_total", "Answers found, by level",
                                     {{"level", "l1"}, {"namespace", name}}),
            .misses =
                registry.counter("hearth_cache_misses_total",
                                 "Look-ups that found nothing on any level", {{"namespace", name}}),
            .saved_seconds = registry.counter("hearth_cache_saved_seconds_total",
                                              "Time that making what was found had taken",
                                              {{"namespace", name}})};
}

Answers::Answers(AnswersOptions options, metrics::Registry& registry)
    : options_(options),
      memory_(options.memory_bytes_max),
      counters_(counters_of_all(registry, &Answers::counters_of,
                                std::make_index_sequence<kSpaces.size()>())),
      entries_(registry.gauge("hearth_cache_entries", "Answers kept, by level", {{"level", "l1"}})),
      bytes_(registry.gauge("hearth_cache_bytes", "Bytes they take, by level", {{"level", "l1"}})) {
}

Answers::~Answers() = default;

std::optional<Found> Answers::find(Space space, const Key& key) {
    EntryPtr entry = memory_.find(key, now());
    if (entry != nullptr && clears_.has_killed(*entry)) entry = nullptr;
    if (entry == nullptr) {
        counters(space).misses.add();
        return std::nullopt;
    }
    counters(space).hits.add();
    counters(space).saved_seconds.add(std::chrono::duration<double>(entry->took).count());
    return Found{.entry = std::move(entry), .level = "l1"};
}

void Answers::keep(Making making, std::string payload, std::chrono::microseconds took) {
    const Moment created = now();
    auto entry = std::make_shared<Entry>(
        Entry{.space = std::string(to_string(making.space)),
              .model = std::move(making.model),
              .tenant = std::move(making.tenant),
              .payload = std::move(payload),
              .created = created,
              .expires = created + making.life.value_or(options_.lives.of(making.space)),
              .took = took,
              .clears = making.clears});
    if (clears_.has_killed(*entry)) return;
    memory_.insert(making.key, std::move(entry));
    note_size();
}

std::size_t Answers::clear(Filter filter) {
    clears_.add(filter);
    const std::size_t count =
        memory_.erase_if([&](const Key&, const Entry& entry) { return filter.matches(entry); });
    note_size();
    return count;
}

std::size_t Answers::prune() {
    const Moment when = now();
    const std::size_t count =
        memory_.erase_if([&](const Key&, const Entry& entry) { return entry.expires <= when; });
    note_size();
    return count;
}

void Answers::note_size() {
    entries_.set(static_cast<double>(memory_.entries()));
    bytes_.set(static_cast<double>(memory_.bytes()));
}

Answers::Stats Answers::stats() const {
    Stats stats{
        .spaces = {}, .memory = memory_.stats(), .memory_bytes_max = options_.memory_bytes_max};
    for (std::size_t i = 0; i < kSpaces.size(); ++i) {
        const Counters& counters = counters_[i];
        stats.spaces[i] = {.space = kSpaces[i],
                           .hits = static_cast<std::uint64_t>(counters.hits.value()),
                           .misses = static_cast<std::uint64_t>(counters.misses.value()),
                           .saved = std::chrono::duration_cast<std::chrono::microseconds>(
                               std::chrono::duration<double>(counters.saved_seconds.value()))};
    }
    memory_.visit([&](const Key&, const Entry& entry) {
        for (SpaceStats& space : stats.spaces) {
            if (entry.space != to_string(space.space)) continue;
            ++space.entries;
            space.bytes += entry.weight();
        }
    });
    return stats;
}

}  // namespace hearth::cache
