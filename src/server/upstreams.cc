#include "server/upstreams.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <ctime>
#include <future>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/format.h"
#include "runtime/task_group.h"
#include "server/published.h"
#include "telemetry/log.h"

namespace hearth::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kListTime{10};
constexpr std::chrono::seconds kRetryTime{1};
constexpr std::size_t kModelsMax = 4096;  // of one server
constexpr std::size_t kShard = 0;

// What our callers see of a list.
std::vector<ServedElsewhere> offered(const UpstreamPlan& plan,
                                     std::vector<remote::RemoteModel> listed) {
    std::vector<ServedElsewhere> models;
    for (const auto& [name, its_name] : plan.names) {
        remote::RemoteModel facts{.name = its_name};
        for (const remote::RemoteModel& one : listed) {
            if (one.name == its_name) facts = one;
        }
        models.push_back({.name = name, .facts = std::move(facts)});
    }
    if (!plan.names.empty()) return models;
    for (remote::RemoteModel& one : listed) {
        if (models.size() == kModelsMax) break;
        std::string name = one.name;
        models.push_back({.name = std::move(name), .facts = std::move(one)});
    }
    return models;
}

bool same(const std::vector<ServedElsewhere>& a, const std::vector<ServedElsewhere>& b) {
    return std::ranges::equal(a, b, [](const ServedElsewhere& x, const ServedElsewhere& y) {
        return x.name == y.name && x.facts.name == y.facts.name &&
               x.facts.context_length == y.facts.context_length &&
               x.facts.capabilities == y.facts.capabilities && x.created_unix == y.created_unix;
    });
}

// Of what servers of OpenAI's API say the first counts: many take the time of the call. A model of
// which its server says nothing is there since it was first listed.
void settle_times(const UpstreamPlan& plan, const std::vector<ServedElsewhere>& before,
                  std::vector<ServedElsewhere>& models) {
    std::unordered_map<std::string_view, const ServedElsewhere*> known;
    for (const ServedElsewhere& one : before) known[one.name] = &one;
    const std::int64_t now = std::time(nullptr);
    for (ServedElsewhere& one : models) {
        const auto found = known.find(one.name);
        const ServedElsewhere* earlier = found != known.end() ? found->second : nullptr;
        auto& told = one.facts.created_unix;
        if (earlier != nullptr && earlier->facts.created_unix) {
            if (!told || plan.options.kind == "openai") told = earlier->facts.created_unix;
        }
        one.created_unix = told.value_or(earlier != nullptr ? earlier->created_unix : now);
    }
}

}  // namespace

struct Upstreams::Impl {
    Impl(runtime::Shards& shards_in, std::size_t count)
        : shards(shards_in),
          lists(std::make_shared<const Lists>(
              Lists{.of_member = std::vector<std::vector<ServedElsewhere>>(count)})),
          standings(count),
          group(shards_in.io(kShard)) {}

    Awaitable<void> watch(std::size_t index);
    void note(std::size_t index, Standing standing);
    void publish(std::size_t index, const UpstreamPlan& plan,
                 std::vector<remote::RemoteModel> listed);

    runtime::Shards& shards;
    std::vector<Member> members;
    std::atomic<std::size_t> unheard = 0;  // members that have not answered or failed yet
    std::promise<void> all_heard;
    bool running = false;
    Published<Lists> lists;
    mutable Mutex mutex;  // also of whoever makes new lists of old ones
    std::vector<Standing> standings GUARDED_BY(mutex);
    runtime::TaskGroup group;
};

Upstreams::Upstreams(runtime::Shards& shards, metrics::Registry& registry,
                     std::vector<UpstreamPlan> plans)
    : impl_(std::make_unique<Impl>(shards, plans.size())) {
    for (std::size_t i = 0; i < plans.size(); ++i) {
        UpstreamPlan& plan = plans[i];
        const std::string& name = plan.options.name;
        auto upstream = std::make_shared<remote::Upstream>(
            shards, plan.options, remote::make_wire(plan.options.kind, plan.openai),
            remote::UpstreamMetrics(registry, name));
        // What is configured by name need not be listed to be served.
        if (!plan.names.empty()) impl_->publish(i, plan, {});
        auto triton = plan.triton ? std::make_shared<remote::TritonModels>(
                                        upstream, *std::exchange(plan.triton, std::nullopt))
                                  : nullptr;
        impl_->members.push_back({std::move(upstream), std::make_shared<replicas::Load>(),
                                  std::move(plan), std::move(triton)});
    }
}

Upstreams::~Upstreams() { CHECK(!impl_->running); }

const std::vector<Upstreams::Member>& Upstreams::members() const { return impl_->members; }

std::shared_ptr<const Upstreams::Lists> Upstreams::lists() const { return impl_->lists.value(); }

std::uint64_t Upstreams::lists_version() const { return impl_->lists.version(); }

void Upstreams::Impl::publish(std::size_t index, const UpstreamPlan& plan,
                              std::vector<remote::RemoteModel> listed) {
    std::vector<ServedElsewhere> models = offered(plan, std::move(listed));
    const MutexLock lock(mutex);
    const auto now = lists.value();
    settle_times(plan, now->of_member[index], models);
    if (same(now->of_member[index], models)) return;
    auto next = std::make_shared<Lists>(*now);
    next->of_member[index] = std::move(models);
    lists.publish(std::move(next));
}

std::vector<Upstreams::Standing> Upstreams::standings() const {
    const MutexLock lock(impl_->mutex);
    return impl_->standings;
}

void Upstreams::Impl::note(std::size_t index, Standing standing) {
    const MutexLock lock(mutex);
    standing.models = lists.value()->of_member[index].size();
    standings[index] = std::move(standing);
}

namespace {

using Listing = remote::TritonModels::Listing;

Awaitable<Result<Listing>> ask_list(const Upstreams::Member& member) {
    const Deadline deadline = Deadline::after(kListTime);
    if (member.triton != nullptr) co_return co_await member.triton->list(deadline);
    CO_TRY(std::vector<remote::RemoteModel> models,
           co_await member.upstream->list_models(deadline));
    co_return Listing{.models = std::move(models), .problem = {}};
}

}  // namespace

Awaitable<void> Upstreams::Impl::watch(std::size_t index) {
    const Member& member = members[index];
    const std::string& name = member.plan.options.name;
    std::optional<bool> was_up;
    std::string problem;
    for (;;) {
        const auto asked = Clock::now();
        auto listed = co_await ask_list(member);
        const auto took = Clock::now() - asked;
        const bool up = listed.has_value();
        const std::string reason = up ? std::string() : listed.error().message;
        if (up) publish(index, member.plan, std::move(listed->models));
        const bool has_news = up && listed->problem != problem;
        if (up) problem = std::move(listed->problem);
        if (has_news && !problem.empty()) {
            log::warn("backend has a problem name={} problem=\"{}\"", name, problem);
        }
        const bool is_news = was_up != up && !(member.plan.found && !was_up && !up);
        if (is_news && up) log::info("backend is up name={}", name);
        if (is_news && !up) log::warn("backend is down name={} reason=\"{}\"", name, reason);
        note(index, {.heard = true, .up = up, .reason = reason, .problem = problem, .took = took});
        if (!was_up && --unheard == 0) all_heard.set_value();
        was_up = up;
        // One that nobody configured may well not be there at all.
        const auto pause = up || member.plan.found ? Clock::duration(member.plan.refresh_time)
                                                   : Clock::duration(kRetryTime);
        if (!co_await sleep_until(Deadline::after(pause))) co_return;
    }
}

void Upstreams::start(std::chrono::milliseconds wait_max) {
    const std::size_t count = impl_->members.size();
    if (count == 0) return;
    impl_->running = true;
    impl_->unheard = count;
    impl_->shards.post(kShard, [impl = impl_.get()] {
        for (std::size_t i = 0; i < impl->members.size(); ++i) {
            impl->group.spawn("backend watch", impl->watch(i));
        }
    });
    (void)impl_->all_heard.get_future().wait_for(wait_max);
}

void Upstreams::retire() {
    for (const Member& member : impl_->members) member.upstream->retire();
}

void Upstreams::stop() {
    if (!impl_->running) return;
    impl_->running = false;
    std::promise<void> ended;
    impl_->shards.post(kShard, [impl = impl_.get(), &ended] {
        impl->group.cancel_all();
        impl->group.when_empty([&ended] { ended.set_value(); });
    });
    ended.get_future().wait();
}

}  // namespace hearth::server
