#include "encoder/forward.h"

#include <time.h>

#include <algorithm>
#include <cstring>

#include "base/format.h"

namespace hearth::encoder {
namespace {

// Rows per block: enough to use each weight often once it has come from the third-level cache, few
// enough that the block's widest activations stay in the second
// (docs/decisions/0010-encoder-engine.md).
constexpr std::size_t kBlockRows = 112;

// Softmax weights in 15 bits times values in 15 bits fit 32 bits up to this many keys.
constexpr std::size_t kInt16KeysMax = 65'534;
constexpr std::size_t kRotaryEntriesMax = 64 << 20;

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

Epilogue activation_of(const std::string& name) {
    if (name == "swiglu") return Epilogue::SwiGlu;
    if (name == "relu") return Epilogue::Relu;
    if (name == "gelu") return Epilogue::Gelu;
    return Epilogue::GeluTanh;
}

Result<void> check_config(const models::EncoderConfig& config) {
    if (config.heads == 0 || config.hidden % config.heads != 0) {
        return fail(Code::InvalidArgument,
                    format("config.json: a hidden size of {} cannot be divided by {} heads",
                           config.hidden, config.heads));
    }
    if (config.tokens_max == 0 || config.tokens_max > config.positions_max) {
        return fail(Code::InvalidArgument, format("a window of {} tokens does not fit {} positions",
                                                  config.tokens_max, config.positions_max));
    }
    if (config.rotary_base > 0 &&
        config.tokens_max * (config.hidden / config.heads) > kRotaryEntriesMax) {
        return fail(Code::InvalidArgument, "config.json: the rotary window is absurdly large");
    }
    static constexpr std::string_view kKnown[] = {"gelu",      "gelu_new", "gelu_pytorch_tanh",
                                                  "gelu_fast", "relu",     "swiglu"};
    if (std::ranges::find(kKnown, config.activation) == std::end(kKnown)) {
        return fail(Code::InvalidArgument,
                    format("config.json: activation \"{}\" is not known", config.activation));
    }
    return {};
}

}  // namespace

void Group::clear() {
    sequences.clear();
    rows = 0;
    keys_padded = 0;
    first_id = 0;
}

// The rows [begin, begin + rows) of a group, and everything around them.
struct Forward::Block {
    const Group& group;
    GroupState& state;
    Scratch& scratch;
    std::size_t begin = 0;
    std::size_t rows = 0;
    float* x = nullptr;  // of the first row

    // Calls each(sequence, first token, count) for the parts of sequences inside the block.
    template <class Each>
    void for_parts(Each each) const {
        const auto after =
            std::ranges::upper_bound(group.sequences, begin, {}, &Sequence::first_row);
        for (auto s = after - 1; s != group.sequences.end(); ++s) {
            const std::size_t from = std::max(begin, s->first_row);
            const std::size_t to = std::min(begin + rows, s->first_row + s->length);
            if (from >= begin + rows) return;
            each(*s, from - s->first_row, to - from);
        }
    }
};

Forward::Forward(const models::EncoderConfig& config, const Kernels& kernels, Numbers numbers)
    : config_(config),
      kernels_(kernels),
      numbers_(numbers),
      activation_(activation_of(config.activation)),
      block_rows_(kBlockRows) {
    const std::size_t panel = 2 * kernels.lanes;
    const std::size_t dim = config.hidden / config.heads;
    const bool int16 = numbers != Numbers::F32 && kernels.fast_int16 && dim % 2 == 0 &&
                       config.tokens_max <= kInt16KeysMax;
    attention_ = Attention(kernels, int16, config.heads, dim);
    rotary_ = Rotary(config);
    x_stride_ = round_up(config.hidden, panel) + panel;
    const std::size_t widest = std::max(3 * config.hidden, config.intermediate);
    wide_stride_ = round_up(widest, panel) + panel;
}

Result<std::unique_ptr<Forward>> Forward::load(const std::filesystem::path& folder,
                                               const models::EncoderConfig& config,
                                               const Kernels& kernels, Numbers numbers) {
    TRY_VOID(check_config(config));
    TRY(const Family* family, find_family(config.family));
    TRY(const auto source, TensorSource::open(folder, family->prefixes, family->anchor));
    TRY(auto embeddings, family->embeddings(source, config));
    std::unique_ptr<Forward> forward(new Forward(config, kernels, numbers));
    forward->take(std::move(embeddings));
    for (std::size_t i = 0; i < config.layers; ++i) {
        TRY(const auto layer, family->layer(source, config, i));
        forward->take(layer);
    }
    return forward;
}

Forward::Norm Forward::make_norm(const NormWeights& weights) const {
    Norm norm{.gain = Buffer<float>(x_stride_), .bias = Buffer<float>(x_stride_)};
    std::ranges::copy(weights.gain, norm.gain.data());
    std::ranges::copy(weights.bias, norm.bias.data());
    return norm;
}

void Forward::take(EmbeddingWeights weights) {
    // Token type 0 is all we are ever given: with learned positions it is part of them.
    if (!weights.type.empty() && !weights.positions.empty()) {
        for (std::size_t p = 0; p < config_.positions_max; ++p) {
            kernels_.add(weights.positions.data() + p * config_.hidden, weights.type.data(),
                         config_.hidden);
        }
        weights.type.clear();
    }
    embedding_norm_ = make_norm(weights.norm);
    embeddings_ = std::move(weights);
}

void Forward::take(const LayerWeights& weights) {
    const LinearWeights* gate = weights.gate.out > 0 ? &weights.gate : nullptr;
    layers_.push_back({.qkv = PackedLinear(kernels_, numbers_, weights.qkv),
                       .attention_out = PackedLinear(kernels_, numbers_, weights.attention_out),
                       .up = PackedLinear(kernels_, numbers_, weights.up, gate),
                       .down = PackedLinear(kernels_, numbers_, weights.down),
                       .norm1 = make_norm(weights.norm1),
                       .norm2 = make_norm(weights.norm2)});
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
    scratch.prepared.reserve(block_rows_, std::max(config_.hidden, config_.intermediate));
    scratch.context.reserve(block_rows_ * x_stride_);
    scratch.wide.reserve(block_rows_ * wide_stride_);
    std::size_t longest = 0;
    for (const Sequence& s : group.sequences) longest = std::max(longest, s.keys_padded);
    attention_.reserve(scratch.attention, longest);
}

void Forward::run(const Group& group, std::span<const std::int32_t> ids, GroupState& state,
                  Scratch& scratch, const Share& share, float* out) const {
    const std::size_t blocks = ceil_div(group.rows, block_rows_);
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
        pool(group, group.sequences[s], state, out);
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
    {
        const Timer timer(scratch, &PhaseTimes::quantise_ns);
        layer.down.prepare(wide, wide_stride_, block.rows, scratch.prepared);
    }
    {
        const Timer timer(scratch, &PhaseTimes::down_ns);
        layer.down.run(scratch.prepared, block.rows, Epilogue::Residual,
                       {.to = block.x, .stride = x_stride_, .residual = block.x});
    }
    normalise(block, block.x, layer.norm2);
}

void Forward::pool(const Group&, const Sequence& sequence, const GroupState& state,
                   float* out) const {
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
