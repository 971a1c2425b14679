#include "encoder/session.h"

#include <algorithm>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace hearth::encoder {
namespace {

// Denormal numbers cost a trap each and mean nothing here: they count as zero while we compute.
class FlushDenormals {
  public:
#if defined(__SSE__)
    FlushDenormals() : saved_(_mm_getcsr()) {
        _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
    }
    ~FlushDenormals() { _mm_setcsr(saved_); }
#else
    FlushDenormals() = default;
#endif
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

  private:
#if defined(__SSE__)
    static constexpr unsigned kFlushToZero = 0x8000;
    static constexpr unsigned kDenormalsAreZero = 0x0040;
    unsigned saved_;
#endif
};

}  // namespace

Session::Session(const Forward& forward, std::size_t threads)
    : forward_(forward), workers_(threads), team_(threads) {}

void Session::run(std::span<const std::int32_t> ids, std::span<const std::uint32_t> lengths,
                  std::span<float> out) {
    ids_ = ids;
    out_ = out.data();
    form_groups(lengths);
    if (group_count_ >= team_.size()) {
        next_group_.store(0, std::memory_order_relaxed);
        team_.run(work_alone, this);
        return;
    }
    for (std::size_t g = 0; g < group_count_; ++g) {
        shared_group_ = g;
        forward_.reserve(groups_[g], workers_[0].state);
        team_.run(work_together, this);
    }
}

// Consecutive sequences until a block is full; a long one is a group of its own.
void Session::form_groups(std::span<const std::uint32_t> lengths) {
    group_count_ = 0;
    std::size_t first_id = 0;
    Group* group = nullptr;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        if (group == nullptr || group->rows + lengths[i] > Forward::kBlockRows) {
            if (group_count_ == groups_.size()) groups_.emplace_back();
            group = &groups_[group_count_++];
            group->clear();
            group->first_id = first_id;
        }
        forward_.add(*group, i, lengths[i]);
        first_id += lengths[i];
    }
}

std::span<const std::int32_t> Session::ids_of(const Group& group) const {
    return ids_.subspan(group.first_id, group.rows);
}

void Session::work_alone(void* self, std::size_t thread) {
    const FlushDenormals flush;
    auto& session = *static_cast<Session*>(self);
    Worker& worker = session.workers_[thread];
    while (true) {
        const std::size_t g = session.next_group_.fetch_add(1, std::memory_order_relaxed);
        if (g >= session.group_count_) return;
        const Group& group = session.groups_[g];
        session.forward_.reserve(group, worker.state);
        session.forward_.reserve(group, worker.scratch);
        session.forward_.run(group, session.ids_of(group), worker.state, worker.scratch, {},
                             session.out_);
    }
}

void Session::work_together(void* self, std::size_t thread) {
    const FlushDenormals flush;
    auto& session = *static_cast<Session*>(self);
    const Group& group = session.groups_[session.shared_group_];
    Scratch& scratch = session.workers_[thread].scratch;
    session.forward_.reserve(group, scratch);
    session.forward_.run(
        group, session.ids_of(group), session.workers_[0].state, scratch,
        {.thread = thread, .threads = session.team_.size(), .barrier = &session.team_.barrier()},
        session.out_);
}

}  // namespace hearth::encoder
