#include <algorithm>
#include <cmath>
#include <optional>
#include <random>

#include "base/format.h"
#include "encoder/forward_block.h"

// From a model folder to packed weights.
namespace hearth::encoder {
namespace {

// Softmax weights in 15 bits times values in 15 bits fit 32 bits up to this many keys.
constexpr std::size_t kInt16KeysMax = 65'534;
constexpr std::size_t kRotaryEntriesMax = 64 << 20;
// Inputs of the second feed-forward layer that share their scales in int8: a few large values would
// take the bits of all others.
constexpr std::size_t kInt8RunInputs = 384;
constexpr std::size_t kProbeTokens = 28;

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

Forward::Forward(const models::EncoderConfig& config, const Kernels& kernels, Numbers numbers)
    : config_(config), kernels_(kernels), activation_(activation_of(config.activation)) {
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

Forward::Layer Forward::make_layer(const LayerWeights& weights, Numbers numbers) const {
    return {.qkv = {},
            .attention_out = PackedLinear(kernels_, numbers, weights.attention_out),
            .up = {},
            .down = pack_runs(weights.down, numbers),
            .norm1 = make_norm(weights.norm1),
            .norm2 = make_norm(weights.norm2)};
}

void Forward::pack_ranged(Layer& layer, const LayerWeights& weights, Numbers numbers,
                          const InputRanges* ranges) const {
    const LinearWeights* gate = weights.gate.out > 0 ? &weights.gate : nullptr;
    layer.qkv = PackedLinear(kernels_, numbers, weights.qkv, nullptr,
                             ranges != nullptr ? &ranges->qkv : nullptr);
    layer.up = PackedLinear(kernels_, numbers, weights.up, gate,
                            ranges != nullptr ? &ranges->up : nullptr);
}

std::vector<PackedLinear> Forward::pack_runs(const LinearWeights& weights, Numbers numbers) const {
    const std::size_t run = numbers == Numbers::I8 ? kInt8RunInputs : weights.in;
    std::vector<PackedLinear> runs;
    if (run >= weights.in) {
        runs.emplace_back(kernels_, numbers, weights);
        return runs;
    }
    for (std::size_t first = 0; first < weights.in; first += run) {
        LinearWeights part{
            .in = std::min(run, weights.in - first), .out = weights.out, .weight = {}, .bias = {}};
        if (first == 0) part.bias = weights.bias;
        part.weight.reserve(part.in * part.out);
        for (std::size_t o = 0; o < weights.out; ++o) {
            const float* row = weights.weight.data() + o * weights.in + first;
            part.weight.insert(part.weight.end(), row, row + part.in);
        }
        runs.emplace_back(kernels_, numbers, part);
    }
    return runs;
}

// Sees how large the inputs of each layer grow, on one block of random tokens that passes through
// the layers as they are loaded.
class Forward::Probe {
  public:
    explicit Probe(const Forward& forward) : forward_(forward) {
        const auto& config = forward.config_;
        const std::size_t length = std::min(kProbeTokens, config.tokens_max);
        while (group_.rows + length <= kBlockRows) {
            forward.add(group_, group_.sequences.size(), length);
        }
        forward.reserve(group_, state_);
        forward.reserve(group_, scratch_);
        std::minstd_rand random(1);
        std::vector<std::int32_t> ids(group_.rows);
        for (auto& id : ids) {
            id = static_cast<std::int32_t>(static_cast<std::size_t>(random()) % config.vocabulary);
        }
        forward.embed(block(), ids);
    }

    // Runs the layer at the back of the model.
    InputRanges observe() {
        const std::size_t index = forward_.layers_.size() - 1;
        const Block rows = block();
        InputRanges ranges;
        ranges.qkv = largest(rows.x);
        forward_.project(rows, index);
        forward_.attend(rows, index);
        ranges.up = largest(rows.x);
        forward_.feed_forward(rows, forward_.layers_[index]);
        return ranges;
    }

  private:
    Block block() {
        return {.group = group_,
                .state = state_,
                .scratch = scratch_,
                .begin = 0,
                .rows = group_.rows,
                .x = state_.x.data()};
    }
    InputRange largest(const float* x) const {
        InputRange range(forward_.config_.hidden, 0.0F);
        for (std::size_t r = 0; r < group_.rows; ++r, x += forward_.x_stride_) {
            for (std::size_t i = 0; i < range.size(); ++i) {
                range[i] = std::max(range[i], std::abs(x[i]));
            }
        }
        return range;
    }

    const Forward& forward_;
    Group group_;
    GroupState state_;
    Scratch scratch_;
};

Result<std::unique_ptr<Forward>> Forward::load(const std::filesystem::path& folder,
                                               const models::EncoderConfig& config,
                                               const Kernels& kernels, Numbers numbers) {
    TRY_VOID(check_config(config));
    TRY(const Family* family, find_family(config.family));
    TRY(const auto source, TensorSource::open(folder, family->prefixes, family->anchor));
    TRY(auto embeddings, family->embeddings(source, config));
    std::unique_ptr<Forward> forward(new Forward(config, kernels, numbers));
    forward->take(std::move(embeddings));
    std::optional<Probe> probe;
    if (numbers == Numbers::I8) probe.emplace(*forward);
    for (std::size_t i = 0; i < config.layers; ++i) {
        TRY(const auto layer, family->layer(source, config, i));
        Layer& packed = forward->layers_.emplace_back(forward->make_layer(layer, numbers));
        // The probe passes the layers whose ranges it is to find in int16.
        forward->pack_ranged(packed, layer, probe ? Numbers::I16 : numbers, nullptr);
        if (!probe) continue;
        const InputRanges ranges = probe->observe();
        forward->pack_ranged(packed, layer, numbers, &ranges);
    }
    return forward;
}

}  // namespace hearth::encoder
