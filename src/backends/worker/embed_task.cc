#include "backends/worker/embed_task.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/format.h"

namespace hearth::worker {
namespace {

constexpr std::size_t kInlineBytesMax = 2048;  // prepared in well under 100 us
constexpr std::size_t kRangeBytes = 32 << 10;  // of text, per piece of work for the pool
constexpr std::chrono::hours kTimeMax{24};

std::size_t bytes_of(const inference::EmbedInput& input) {
    if (const auto* text = std::get_if<std::string>(&input)) return text->size();
    return std::get<inference::TokenIds>(input).size() * sizeof(std::int32_t);
}

// The input's content as bytes; kinds are told apart by the map they are looked up in.
std::string_view content_of_input(const inference::EmbedInput& input) {
    if (const auto* text = std::get_if<std::string>(&input)) return *text;
    const auto& ids = std::get<inference::TokenIds>(input);
    return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(std::int32_t)};
}

}  // namespace

EmbedTask::EmbedTask(Parts parts, Call call, Done done)
    : parts_(parts),
      call_(std::move(call)),
      deadline_(Clock::now() + std::min<std::chrono::milliseconds>(call_.time_left, kTimeMax)),
      done_(std::move(done)) {}

std::shared_ptr<EmbedTask> EmbedTask::make(Parts parts, Call call, Done done) {
    return std::shared_ptr<EmbedTask>(new EmbedTask(parts, std::move(call), std::move(done)));
}

void EmbedTask::start() {
    std::size_t bytes = 0;
    for (const auto& input : call_.request.inputs) bytes += bytes_of(input);
    if (bytes <= kInlineBytesMax) return prepare_all();
    std::move_only_function<void()> work = [self = shared_from_this()] { self->prepare_all(); };
    if (parts_.pool.post(work)) return;
    set_error({.code = Code::Overloaded,
               .message = "too many calls wait to be tokenized",
               .retry_after = std::chrono::seconds(1)});
    finish();
}

// Splits the texts into ranges of similar size, so that a large call uses every thread of the pool.
void EmbedTask::prepare_all() {
    auto rules = parts_.prep.check(call_.request);
    if (!rules) {
        set_error(std::move(rules).error());
        return finish();
    }
    rules_ = *std::move(rules);
    find_texts();
    std::vector<std::pair<std::size_t, std::size_t>> ranges;
    std::size_t bytes = 0;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < texts_.size(); ++i) {
        bytes += bytes_of(call_.request.inputs[texts_[i].input]);
        if (bytes < kRangeBytes && i + 1 < texts_.size()) continue;
        ranges.emplace_back(begin, i + 1);
        begin = i + 1;
        bytes = 0;
    }
    if (ranges.empty()) return submit();
    ranges_left_ = ranges.size();
    for (std::size_t i = 1; i < ranges.size(); ++i) {
        std::move_only_function<void()> work = [self = shared_from_this(), range = ranges[i]] {
            self->prepare_range(range.first, range.second);
        };
        if (!parts_.pool.post(work)) work();
    }
    prepare_range(ranges[0].first, ranges[0].second);
}

void EmbedTask::find_texts() {
    const auto& inputs = call_.request.inputs;
    std::unordered_map<std::string_view, std::size_t> seen[2];
    text_of_input_.reserve(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const auto [place, is_new] =
            seen[inputs[i].index()].try_emplace(content_of_input(inputs[i]), texts_.size());
        if (is_new) texts_.push_back({.input = i});
        text_of_input_.push_back(place->second);
    }
}

void EmbedTask::prepare_range(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
        if (cancelled_.load(std::memory_order_relaxed) || failed_) break;
        const std::size_t input = texts_[i].input;
        auto ids = parts_.prep.prepare(call_.request.inputs[input], input, rules_);
        if (!ids) {
            set_error(std::move(ids).error());
            break;
        }
        texts_[i].ids = *std::move(ids);
    }
    if (ranges_left_.fetch_sub(1, std::memory_order_acq_rel) == 1) submit();
}

void EmbedTask::submit() {
    if (cancelled_) set_error({.code = Code::Cancelled, .message = "the caller left"});
    if (failed_) return finish();
    if (auto total = check_total(); !total) {
        set_error(std::move(total).error());
        return finish();
    }
    layout_ = {.texts = text_of_input_.size(), .dimension = rules_.dimension};
    answer_ = make_answer(layout_);
    for (std::size_t i = 0; i < text_of_input_.size(); ++i) {
        const auto& ids = texts_[text_of_input_[i]].ids;
        set_answer_tokens(answer_, i, static_cast<std::uint32_t>(ids.size()));
    }
    submitted_ = Clock::now();
    if (texts_.empty()) return finish();
    jobs_left_ = texts_.size();
    if (auto admitted = parts_.batcher.submit(make_jobs()); !admitted) {
        set_error(std::move(admitted).error());
        finish();
    }
}

// Counted as the caller pays: every input, also one that is computed once for several.
Result<void> EmbedTask::check_total() const {
    const std::size_t cap = call_.request.tokens_max;
    if (cap == 0) return {};
    std::size_t total = 0;
    for (const std::size_t text : text_of_input_) total += texts_[text].ids.size();
    if (total <= cap) return {};
    return fail(
        {.code = Code::InvalidArgument,
         .message = format("the inputs have {} tokens; one request takes at most {}", total, cap),
         .reason = "max_tokens_per_request",
         .param = "input"});
}

std::vector<encoder::Job> EmbedTask::make_jobs() {
    std::vector<encoder::Job> jobs;
    jobs.reserve(texts_.size());
    for (std::size_t i = 0; i < texts_.size(); ++i) {
        encoder::Job job;
        job.ids = std::move(texts_[i].ids);
        job.deadline = deadline_;
        job.cancelled = [task = this] { return task->cancelled_ || task->failed_; };
        // The job owns the task through `done`, which also keeps `cancelled` valid.
        job.done = [self = shared_from_this(), i](Result<encoder::Row> row) {
            self->take_row(i, std::move(row));
        };
        jobs.push_back(std::move(job));
    }
    return jobs;
}

void EmbedTask::take_row(std::size_t text, Result<encoder::Row> row) {
    if (row) {
        const auto started = row->started.time_since_epoch().count();
        auto first = first_started_.load(std::memory_order_relaxed);
        while (started < first && !first_started_.compare_exchange_weak(first, started)) {
        }
        thread_local std::vector<float> values;
        values.assign(row->values.begin(), row->values.end());
        finish_row(values, rules_.dimension, call_.request.normalize);
        set_answer_row(answer_, layout_, texts_[text].input, values);
    } else {
        set_error(std::move(row).error());
    }
    if (jobs_left_.fetch_sub(1, std::memory_order_acq_rel) == 1) finish();
}

void EmbedTask::set_error(Error error) {
    MutexLock lock(mutex_);
    // What the failure itself made the batcher skip is not the reason.
    if (!error_) error_ = std::move(error);
    failed_ = true;
}

void EmbedTask::finish() {
    {
        MutexLock lock(mutex_);
        if (error_) return done_(fail(*error_));
    }
    for (std::size_t i = 0; i < text_of_input_.size(); ++i) {
        copy_answer_row(answer_, layout_, texts_[text_of_input_[i]].input, i);
    }
    if (!texts_.empty()) {
        const Clock::time_point started{Clock::duration(first_started_.load())};
        set_answer_times(answer_, started - submitted_, Clock::now() - started);
    }
    done_(std::move(answer_));
}

void finish_row(std::vector<float>& row, std::size_t dimension, bool normalize) {
    row.resize(dimension);
    if (!normalize) return;
    double sum = 0;
    for (const float value : row) sum += static_cast<double>(value) * static_cast<double>(value);
    if (sum <= 0) return;
    const auto scale = static_cast<float>(1 / std::sqrt(sum));
    for (float& value : row) value *= scale;
}

}  // namespace hearth::worker
