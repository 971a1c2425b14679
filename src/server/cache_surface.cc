#include <boost/json.hpp>

#include "api/ollama.h"
#include "base/format.h"
#include "inference/json.h"
#include "server/answer.h"
#include "server/surfaces.h"

// What is kept of answers, and that it is forgotten.
namespace hearth::server {
namespace json = boost::json;
namespace {

double hit_rate(std::uint64_t hits, std::uint64_t misses) {
    const auto all = static_cast<double>(hits + misses);
    return all > 0 ? static_cast<double>(hits) / all : 0;
}

json::object describe(const cache::Answers::SpaceStats& space) {
    return {{"hits", space.hits},
            {"misses", space.misses},
            {"hitRate", hit_rate(space.hits, space.misses)},
            {"keys", space.entries},
            {"bytes", space.bytes},
            {"saved_ms", static_cast<double>(space.saved.count()) / 1000}};
}

json::object describe(const cache::Answers::Stats& stats) {
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    json::object spaces;
    for (const auto& space : stats.spaces) {
        hits += space.hits;
        misses += space.misses;
        spaces[cache::to_string(space.space)] = describe(space);
    }
    const cache::Memory::Stats& memory = stats.memory;
    return {{"hits", hits},
            {"misses", misses},
            {"hitRate", hit_rate(hits, misses)},
            {"keys", memory.entries},
            {"levels",
             {{"l1",
               {{"entries", memory.entries},
                {"bytes", memory.bytes},
                {"bytes_max", stats.memory_bytes_max},
                {"inserted", memory.inserted},
                {"evicted", memory.evicted},
                {"refused", memory.refused}}}}},
            {"namespaces", std::move(spaces)}};
}

Result<void> set_member(cache::Filter& filter, std::string_view name, std::string_view text) {
    if (name == "namespace") {
        TRY(filter.space, cache::parse_space(text));
    } else if (name == "model") {
        filter.model = text;
    } else if (name == "tenant") {
        filter.tenant = text;
    } else {
        return invalid(
            format("what is cleared is named by namespace, model and tenant, not by {}", name));
    }
    return {};
}

Result<cache::Filter> read_filter(std::string_view body) {
    cache::Filter filter;
    if (body.empty()) return filter;
    boost::system::error_code wrong;
    const json::value value = inference::parse_json(body, wrong);
    if (wrong || !value.is_object()) return invalid("the body must be a JSON object, or nothing");
    for (const auto& member : value.get_object()) {
        const auto* text = member.value().if_string();
        if (text == nullptr || text->empty()) {
            return invalid(format("{} must be a text that is not empty", member.key_c_str()));
        }
        TRY_VOID(set_member(filter, member.key(), *text));
    }
    return filter;
}

}  // namespace

Awaitable<void> cache_stats(const Gateway& gateway, http::Exchange& exchange) {
    co_await answer(exchange, {.body = json::serialize(describe(gateway.answers.stats()))});
}

Awaitable<void> cache_clear(const Gateway& gateway, http::Exchange& exchange) {
    auto filter = read_filter(exchange.request().body);
    if (!filter) {
        co_await answer(exchange, api::ollama::encode_error(filter.error()));
        co_return;
    }
    // As callers may write it. One that is gone may have left answers.
    if (const auto model = gateway.directory.find(filter->model)) filter->model = model->name;
    const std::size_t count = gateway.answers.clear(*filter);
    const json::object told{
        {"success", true}, {"message", format("cleared {} answers", count)}, {"cleared", count}};
    co_await answer(exchange, {.body = json::serialize(told)});
}

Awaitable<void> cache_prune(const Gateway& gateway, http::Exchange& exchange) {
    const std::size_t count = gateway.answers.prune();
    const json::object told{{"success", true},
                            {"message", format("{} answers had expired", count)},
                            {"cleared", count}};
    co_await answer(exchange, {.body = json::serialize(told)});
}

}  // namespace hearth::server
