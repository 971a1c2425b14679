#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "encoder/forward.h"
#include "encoder/team.h"

namespace hearth::encoder {

// A team of threads and the memory it works in. Used by one caller at a time; several sessions
// share one Forward. Memory grows to the largest batch seen: groups of whole sequences, each at
// most a block or the longest sequence.
class Session {
  public:
    Session(const Forward& forward, std::size_t threads);

    std::size_t threads() const { return team_.size(); }
    // As Engine::run, arguments already checked.
    void run(std::span<const std::int32_t> ids, std::span<const std::uint32_t> lengths,
             std::span<float> out);
    // Adds up phases of all runs from now on, of thread 0.
    void measure(PhaseTimes* times) { workers_[0].scratch.times = times; }

  private:
    struct Worker {
        GroupState state;
        Scratch scratch;
    };
    static void work_alone(void* self, std::size_t thread);
    static void work_together(void* self, std::size_t thread);
    void form_groups(std::span<const std::uint32_t> lengths);
    std::span<const std::int32_t> ids_of(const Group& group) const;

    const Forward& forward_;
    std::vector<Worker> workers_;
    std::vector<Group> groups_;  // the first group_count_ are the batch's
    std::size_t group_count_ = 0;
    std::span<const std::int32_t> ids_;
    float* out_ = nullptr;
    std::atomic<std::size_t> next_group_{0};
    std::size_t shared_group_ = 0;
    Team team_;  // last: its threads use all the above
};

}  // namespace hearth::encoder
