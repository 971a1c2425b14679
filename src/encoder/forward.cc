#include "encoder/forward.h"

#include <time.h>

#include <algorithm>
#include <cstring>

#include "encoder/forward_block.h"

namespace hearth::encoder {
namespace {

// In processor time of this thread: a busy machine does not count.
class Timer {
  public:
    using Field = std::uint64_t PhaseTimes::*;
    Timer(const Scratch& scratch, Field field) : times_(scratch.times), field_(field) {
        if (times_ != nullptr) begin_ = now();
    }
    ~Timer() {
        if (times_ != nullptr) times_->*field_ += now() - begin_;
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

  private:
    static std::uint64_t now() {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
               static_cast<std::uint64_t>(time.tv_nsec);
    }

    PhaseTimes* times_;
    Field field_;
    std::uint64_t begin_ = 0;
};

}  // namespace

void Group::clear() {
    sequences.clear();
    rows = 0;
    keys_padded = 0;
    first_id = 0;
}

std::uint64_t Forward::linear_macs() const {
    const std::uint64_t h = config_.hidden;
    const std::uint64_t feed = (activation_ == Epilogue::SwiGlu ? 3 : 2) * config_.intermediate;
    return config_.layers * h * (4 * h + feed);
}

void Forward::add(Group& group, std::size_t index, std::size_t length) const {
    const std::size_t padded = attention_.pad_keys(length);
    group.sequences.push_back({.first_row = group.rows,
                               .length = length,
                               .first_key = group.keys_padded,
                               .keys_padded = padded,
                               .index = index});
    group.rows += length;
    group.keys_padded += padded;
}

void Forward::reserve(const Group& group, GroupState& state) const {
    state.x.reserve(group.rows * x_stride_);
    for (int i = 0; i < 2; ++i) {
        attention_.reserve(state.queries[i], group.rows);
        attention_.reserve(state.keys[i], group.keys_padded);
    }
}

void Forward::reserve(const Group& group, Scratch& scratch) const {
    scratch.prepared.reserve(kBlockRows, std::max(config_.hidden, config_.intermediate));
    scratch.context.reserve(kBlockRows * x_stride_);
    scratch.wide.reserve(kBlockRows * wide_stride_);
    std::size_t longest = 0;
    for (const Sequence& s : group.sequences) longest = std::max(longest, s.keys_padded);
    attention_.reserve(scratch.attention, longest);
}

void Forward::run(const Group& group, std::span<const std::int32_t> ids, GroupState& state,
                  Scratch& scratch, const Share& share, float* out) const {
    const std::size_t blocks = ceil_div(group.rows, kBlockRows);
    const auto meet = [&share] {
        if (share.barrier != nullptr) share.barrier->wait();
    };
    const auto for_my_blocks = [&](auto each) {
        for (std::size_t b = share.thread; b < blocks; b += share.threads) {
            const std::size_t begin = group.rows * b / blocks;
            const std::size_t end = group.rows * (b + 1) / blocks;
            each(Block{.group = group,
                       .state = state,
                       .scratch = scratch,
                       .begin = begin,
                       .rows = end - begin,
                       .x = state.x.data() + begin * x_stride_});
        }
    };
    for_my_blocks([&](const Block& block) {
        embed(block, ids);
        project(block, 0);
    });
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
        meet();
        for_my_blocks([&](const Block& block) {
            attend(block, layer);
            feed_forward(block, layers_[layer]);
            if (layer + 1 < layers_.size()) project(block, layer + 1);
        });
    }
    meet();
    const Timer timer(scratch, &PhaseTimes::pool_ns);
    for (std::size_t s = share.thread; s < group.sequences.size(); s += share.threads) {
        pool(group.sequences[s], state, out);
    }
}

void Forward::embed(const Block& block, std::span<const std::int32_t> ids) const {
    const Timer timer(block.scratch, &PhaseTimes::embed_ns);
    const std::size_t h = config_.hidden;
    block.for_parts([&](const Sequence& sequence, std::size_t token, std::size_t count) {
        for (std::size_t i = token; i < token + count; ++i) {
            const std::size_t row = sequence.first_row + i;
            float* x = block.state.x.data() + row * x_stride_;
            const auto id = static_cast<std::size_t>(ids[row]);
            std::memcpy(x, embeddings_.words.data() + id * h, h * sizeof(float));
            if (!embeddings_.positions.empty()) {
                kernels_.add(x, embeddings_.positions.data() + i * h, h);
            }
            if (!embeddings_.type.empty()) kernels_.add(x, embeddings_.type.data(), h);
        }
    });
    normalise(block, block.x, embedding_norm_);
}

void Forward::normalise(const Block& block, float* x, const Norm& norm) const {
    const Timer timer(block.scratch, &PhaseTimes::norm_ns);
    kernels_.layer_norm(x, x_stride_, block.rows, config_.hidden, norm.gain.data(),
                        norm.bias.data(), config_.norm_epsilon);
}

void Forward::project(const Block& block, std::size_t layer) const {
    Scratch& scratch = block.scratch;
    const PackedLinear& qkv = layers_[layer].qkv;
    float* wide = scratch.wide.data();
    {
        const Timer timer(scratch, &PhaseTimes::quantise_ns);
        qkv.prepare(block.x, x_stride_, block.rows, scratch.prepared);
    }
    {
        const Timer timer(scratch, &PhaseTimes::qkv_ns);
        qkv.run(scratch.prepared, block.rows, Epilogue::Bias, {.to = wide, .stride = wide_stride_});
    }
    const Timer timer(scratch, &PhaseTimes::store_ns);
    const std::size_t dim = config_.hidden / config_.heads;
    block.for_parts([&](const Sequence& sequence, std::size_t token, std::size_t count) {
        float* rows = wide + (sequence.first_row + token - block.begin) * wide_stride_;
        for (std::size_t i = 0; i < count && !rotary_.empty(); ++i) {
            rotary_.turn(rows + i * wide_stride_, 2 * config_.heads, dim, token + i);
        }
        attention_.store(rows, wide_stride_, sequence, token, count, scratch.attention,
                         block.state.queries[layer % 2], block.state.keys[layer % 2]);
    });
}

void Forward::attend(const Block& block, std::size_t layer) const {
    Scratch& scratch = block.scratch;
    float* context = scratch.context.data();
    {
        const Timer timer(scratch, &PhaseTimes::attention_ns);
        block.for_parts([&](const Sequence& sequence, std::size_t token, std::size_t count) {
            const std::size_t row = sequence.first_row + token - block.begin;
            attention_.attend(block.state.queries[layer % 2], block.state.keys[layer % 2], sequence,
                              token, count, scratch.attention, context + row * x_stride_,
                              x_stride_);
        });
    }
    const PackedLinear& out = layers_[layer].attention_out;
    {
        const Timer timer(scratch, &PhaseTimes::quantise_ns);
        out.prepare(context, x_stride_, block.rows, scratch.prepared);
    }
    {
        const Timer timer(scratch, &PhaseTimes::attention_out_ns);
        out.run(scratch.prepared, block.rows, Epilogue::Residual,
                {.to = block.x, .stride = x_stride_, .residual = block.x});
    }
    normalise(block, block.x, layers_[layer].norm1);
}

void Forward::feed_forward(const Block& block, const Layer& layer) const {
    Scratch& scratch = block.scratch;
    float* wide = scratch.wide.data();
    {
        const Timer timer(scratch, &PhaseTimes::quantise_ns);
        layer.up.prepare(block.x, x_stride_, block.rows, scratch.prepared);
    }
    {
        const Timer timer(scratch, &PhaseTimes::up_ns);
        layer.up.run(scratch.prepared, block.rows, activation_,
                     {.to = wide, .stride = wide_stride_});
    }
    const float* from = wide;
    for (const PackedLinear& down : layer.down) {
        {
            const Timer timer(scratch, &PhaseTimes::quantise_ns);
            down.prepare(from, wide_stride_, block.rows, scratch.prepared);
        }
        const Timer timer(scratch, &PhaseTimes::down_ns);
        down.run(scratch.prepared, block.rows, Epilogue::Residual,
                 {.to = block.x, .stride = x_stride_, .residual = block.x});
        from += down.in();
    }
    normalise(block, block.x, layer.norm2);
}

void Forward::pool(const Sequence& sequence, const GroupState& state, float* out) const {
    const std::size_t h = config_.hidden;
    const float* rows = state.x.data() + sequence.first_row * x_stride_;
    float* to = out + sequence.index * h;
    switch (config_.pooling) {
        case models::Pooling::Cls: std::memcpy(to, rows, h * sizeof(float)); return;
        case models::Pooling::LastToken:
            std::memcpy(to, rows + (sequence.length - 1) * x_stride_, h * sizeof(float));
            return;
        case models::Pooling::Mean: break;
    }
    std::memset(to, 0, h * sizeof(float));
    for (std::size_t i = 0; i < sequence.length; ++i) kernels_.add(to, rows + i * x_stride_, h);
    const float share = 1.0F / static_cast<float>(sequence.length);
    for (std::size_t i = 0; i < h; ++i) to[i] *= share;
}

}  // namespace hearth::encoder
