#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backends/replicas/failover.h"
#include "server/config.h"
#include "server/upstreams.h"
#include "server/workers.h"

namespace hearth::server {

// Who may answer for a name, from what there is at one moment. A value over views: what it is made
// of must outlive it.
struct Candidates {
    const Config& config;
    const Workers::Snapshot& local;
    const std::vector<Upstreams::Member>& members;
    const Upstreams::Lists& lists;

    // Everybody who serves the name itself.
    std::vector<replicas::Replica> replicas_of(std::string_view name) const;
    enum class Match : std::uint8_t { Whole, WithoutTag };
    // Those that list the name.
    void add_members(std::string_view name, Match match, bool found,
                     std::vector<replicas::Replica>& to) const;
    // The name and the models that stand in for it. Empty: nobody serves it.
    std::vector<replicas::Tier> tiers_of(std::string_view name) const;
};

// Equal for names that mean one model: without regard to case, with or without ":latest".
std::string name_key(std::string_view name);
bool same_model(std::string_view a, std::string_view b);
// "qwen:7b" without ":7b"; a colon before a slash is a port's.
std::string_view without_tag(std::string_view name);
// What stands behind an alias, at most 8 of them in a row; another name is itself.
std::string resolved(const Config& config, std::string_view name);
// nullptr: the map does not have it.
const std::vector<std::string>* find_name(const NameMap& map, std::string_view name);

}  // namespace hearth::server
