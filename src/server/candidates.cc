#include "server/candidates.h"

#include <algorithm>

#include "backends/remote/remote_backend.h"
#include "backends/remote/triton_backend.h"
#include "http/message.h"
#include "models/model_name.h"

namespace hearth::server {
namespace {

constexpr int kAliasesMax = 8;  // in a row
constexpr std::string_view kLatest = ":latest";

std::string_view without_latest(std::string_view name) {
    if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
    return name;
}

replicas::Replica replica_of(const Upstreams::Member& member, std::string model) {
    std::shared_ptr<inference::Backend> backend;
    if (member.triton != nullptr) {
        backend = std::make_shared<remote::TritonBackend>(member.upstream, member.triton,
                                                          std::move(model));
    } else {
        backend = std::make_shared<remote::RemoteBackend>(member.upstream, std::move(model));
    }
    return {.backend = std::move(backend), .load = member.load, .weight = member.plan.weight};
}

// "box/coder:7b" where a member is called "box": asked for by name, it need not be listed.
std::vector<replicas::Replica> by_member(const std::vector<Upstreams::Member>& members,
                                         const Upstreams::Lists& lists, std::string_view name) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos || slash + 1 == name.size()) return {};
    for (std::size_t i = 0; i < members.size(); ++i) {
        const Upstreams::Member& member = members[i];
        if (member.plan.options.name != name.substr(0, slash)) continue;
        const std::string_view wanted = name.substr(slash + 1);
        for (const ServedElsewhere& served : lists.of_member[i]) {
            if (same_model(served.name, wanted)) return {replica_of(member, served.facts.name)};
        }
        if (!member.plan.names.empty() || member.plan.found) return {};
        return {replica_of(member, std::string(wanted))};
    }
    return {};
}

}  // namespace

bool same_model(std::string_view a, std::string_view b) {
    return http::equal_ignoring_case(without_latest(a), without_latest(b));
}

std::string name_key(std::string_view name) { return models::lower_case(without_latest(name)); }

std::string_view without_tag(std::string_view name) {
    const std::size_t colon = name.rfind(':');
    if (colon == std::string_view::npos || name.find('/', colon) != std::string_view::npos) {
        return name;
    }
    return name.substr(0, colon);
}

const std::vector<std::string>* find_name(const NameMap& map, std::string_view name) {
    for (const auto& [key, values] : map) {
        if (same_model(key, name)) return &values;
    }
    return nullptr;
}

std::string resolved(const Config& config, std::string_view name) {
    std::string found(name);
    for (int i = 0; i < kAliasesMax; ++i) {
        const auto* alias = find_name(config.aliases, found);
        if (alias == nullptr) break;
        found = alias->front();
    }
    return found;
}

std::vector<replicas::Replica> Candidates::replicas_of(std::string_view name) const {
    std::vector<replicas::Replica> all;
    if (const models::Model* model = local.catalogue.find(name)) {
        const Workers::Entry& entry = local.entries.at(model->name);
        all.push_back({.backend = entry.target->backend, .load = entry.load, .weight = 1});
    }
    // A server that was only found serves what nobody else does, and a name without tag means the
    // one that is there.
    for (const Match match : {Match::Whole, Match::WithoutTag}) {
        for (const bool found : {false, true}) {
            if (all.empty() || (match == Match::Whole && !found)) {
                add_members(name, match, found, all);
            }
        }
    }
    if (all.empty()) return by_member(members, lists, name);
    return all;
}

void Candidates::add_members(std::string_view name, Match match, bool found,
                             std::vector<replicas::Replica>& to) const {
    for (std::size_t i = 0; i < members.size() && to.size() < replicas::kReplicasMax; ++i) {
        if (members[i].plan.found != found) continue;
        for (const ServedElsewhere& served : lists.of_member[i]) {
            const std::string_view theirs =
                match == Match::Whole ? std::string_view(served.name) : without_tag(served.name);
            if (!same_model(theirs, name)) continue;
            to.push_back(replica_of(members[i], served.facts.name));
            break;
        }
    }
}

std::vector<replicas::Tier> Candidates::tiers_of(std::string_view name) const {
    std::vector<replicas::Tier> tiers;
    const std::string target = resolved(config, name);
    tiers.push_back({.replicas = replicas_of(target)});
    using replicas::Cause;
    const std::pair<const NameMap&, Cause> chains[] = {{config.fallbacks, Cause::Failure},
                                                       {config.context_fallbacks, Cause::Context}};
    for (const auto& [chain, cause] : chains) {
        const auto* others = find_name(chain, target);
        if (others == nullptr) others = find_name(chain, name);
        if (others == nullptr) continue;
        for (const std::string& other : *others) {
            tiers.push_back({.replicas = replicas_of(resolved(config, other)), .cause = cause});
        }
    }
    // A name that nobody serves may still have others to stand in for it.
    std::erase_if(tiers, [](const replicas::Tier& tier) { return tier.replicas.empty(); });
    return tiers;
}

}  // namespace hearth::server
