#include "testing/gguf_decoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/format.h"
#include "testing/gguf_parts.h"
#include "testing/gguf_vocabulary.h"

namespace hearth::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kQwenVocabulary = "models/ggml-vocab-qwen2.gguf";
constexpr std::string_view kQwen25Template = "models/templates/Qwen-Qwen2.5-7B-Instruct.jinja";
constexpr std::string_view kQwen3Template = "models/templates/Qwen-Qwen3-0.6B.jinja";

// The vocabulary file ends after <|im_end|> with unused places. These are the tokens of Qwen2.5 and
// Qwen3 there.
constexpr std::uint32_t kFirstSpecial = 151'643;
struct SpecialToken {
    std::uint32_t id;
    std::string_view name;
    TokenKind kind;
};
constexpr std::array kToolTokens = {
    SpecialToken{151'657, "<tool_call>", TokenKind::UserDefined},
    SpecialToken{151'658, "</tool_call>", TokenKind::UserDefined},
    SpecialToken{151'665, "<tool_response>", TokenKind::UserDefined},
    SpecialToken{151'666, "</tool_response>", TokenKind::UserDefined},
};
constexpr std::array kThinkingTokens = {
    SpecialToken{151'667, "<think>", TokenKind::UserDefined},
    SpecialToken{151'668, "</think>", TokenKind::UserDefined},
};
constexpr std::array kFimTokens = {
    SpecialToken{151'659, "<|fim_prefix|>", TokenKind::Control},
    SpecialToken{151'660, "<|fim_middle|>", TokenKind::Control},
    SpecialToken{151'661, "<|fim_suffix|>", TokenKind::Control},
    SpecialToken{151'662, "<|fim_pad|>", TokenKind::Control},
    SpecialToken{151'663, "<|repo_name|>", TokenKind::Control},
    SpecialToken{151'664, "<|file_sep|>", TokenKind::Control},
};
constexpr std::array<std::string_view, kFimTokens.size()> kFimKeys = {
    "tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_mid_token_id",
    "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_pad_token_id",
    "tokenizer.ggml.fim_rep_token_id", "tokenizer.ggml.fim_sep_token_id"};

// What the thinking model says after the last token of a chat's prompt, a newline. "Ċ" and "Ġ" are
// a newline and a space in the vocabulary's spelling.
constexpr std::string_view kNewline = "Ċ";
constexpr std::string_view kEmptyLine = "ĊĊ";
constexpr std::array<std::string_view, 10> kThoughts = {
    kNewline, "<think>", "Let", "Ġme", "Ġthink", ".", "</think>", "Done", "!", "<|im_end|>"};

// The tokens of a call, those first that end what is open soonest. A text is ended first of all:
// everything else may stand in it.
constexpr std::array<std::string_view, 20> kCallTokens = {
    "\"}}", "\"}", "\"]", "\",\"", "\":\"", "\":{\"", "\":", "\"", "<|im_end|>", "</tool_call>",
    "}}",   "}",   "]",   ",\"",   "{\"",   "[]",     "{}",  "1",  "true",       kNewline};

template <std::size_t count>
void name_tokens(GgufVocabulary& vocabulary, const std::array<SpecialToken, count>& tokens) {
    for (const SpecialToken& token : tokens) {
        vocabulary.name_token(token.id, token.name, token.kind);
    }
}

Result<GgufVocabulary> read_qwen_vocabulary() {
    TRY(GgufVocabulary vocabulary, GgufVocabulary::read(shared_file(kQwenVocabulary)));
    name_tokens(vocabulary, kToolTokens);
    vocabulary.end_with(vocabulary.id("<|im_end|>"));
    return vocabulary;
}

void add_decoder_keys(GgufFile& file, const DecoderShape& shape) {
    add_general(file, shape.architecture, shape.name, shape.type);
    const std::string prefix = shape.architecture + '.';
    file.number(prefix + "block_count", shape.layers);
    file.number(prefix + "context_length", shape.context);
    file.number(prefix + "embedding_length", shape.hidden);
    file.number(prefix + "feed_forward_length", shape.inner);
    file.number(prefix + "attention.head_count", shape.heads);
    file.number(prefix + "attention.head_count_kv", shape.kv_heads);
    file.number(prefix + "attention.key_length", shape.head_size);
    file.number(prefix + "attention.value_length", shape.head_size);
    file.real(prefix + "attention.layer_norm_rms_epsilon", 1e-6F);
    file.real(prefix + "rope.freq_base", 1e6F);
    if (shape.experts == 0) return;
    file.number(prefix + "expert_count", shape.experts);
    file.number(prefix + "expert_used_count", shape.experts_used);
    file.number(prefix + "expert_feed_forward_length", shape.expert_inner);
}

void add_qwen_vocabulary(GgufFile& file, const GgufVocabulary& vocabulary,
                         std::string_view chat_template) {
    vocabulary.add_to(file);
    file.flag("tokenizer.ggml.add_bos_token", false);
    file.text("tokenizer.chat_template", chat_template);
}

void add_fim_keys(GgufFile& file) {
    for (std::size_t i = 0; i < kFimKeys.size(); ++i) file.number(kFimKeys[i], kFimTokens[i].id);
}

// From inside a layer back to what runs through all of them.
WeightTensor matrix_back(std::string name, const DecoderShape& shape, std::uint64_t columns) {
    WeightTensor tensor = matrix(std::move(name), shape.type, {columns, shape.hidden});
    tensor.first_row = shape.reserved;
    return tensor;
}

void add_attention(GgufFile& file, const DecoderShape& shape, const std::string& block) {
    const std::uint64_t queries = std::uint64_t{shape.heads} * shape.head_size;
    const std::uint64_t keys = std::uint64_t{shape.kv_heads} * shape.head_size;
    file.tensor(norm(block + "attn_norm.weight", shape.hidden));
    file.tensor(matrix(block + "attn_q.weight", shape.type, {shape.hidden, queries}));
    file.tensor(matrix(block + "attn_k.weight", shape.type, {shape.hidden, keys}));
    file.tensor(matrix(block + "attn_v.weight", shape.type, {shape.hidden, keys}));
    file.tensor(matrix_back(block + "attn_output.weight", shape, queries));
    if (shape.architecture == "qwen2") {
        file.tensor(bias(block + "attn_q.bias", queries));
        file.tensor(bias(block + "attn_k.bias", keys));
        file.tensor(bias(block + "attn_v.bias", keys));
    } else {
        file.tensor(norm(block + "attn_q_norm.weight", shape.head_size));
        file.tensor(norm(block + "attn_k_norm.weight", shape.head_size));
    }
}

void add_feed_forward(GgufFile& file, const DecoderShape& shape, const std::string& block) {
    const std::uint64_t hidden = shape.hidden;
    file.tensor(norm(block + "ffn_norm.weight", hidden));
    if (shape.experts == 0) {
        file.tensor(matrix(block + "ffn_gate.weight", shape.type, {hidden, shape.inner}));
        file.tensor(matrix(block + "ffn_up.weight", shape.type, {hidden, shape.inner}));
        file.tensor(matrix_back(block + "ffn_down.weight", shape, shape.inner));
        return;
    }
    const std::uint64_t experts = shape.experts;
    const std::uint64_t inner = shape.expert_inner;
    file.tensor(matrix(block + "ffn_gate_inp.weight", WeightType::F32, {hidden, experts}));
    file.tensor(matrix(block + "ffn_gate_exps.weight", shape.type, {hidden, inner, experts}));
    file.tensor(matrix(block + "ffn_up_exps.weight", shape.type, {hidden, inner, experts}));
    file.tensor(matrix(block + "ffn_down_exps.weight", shape.type, {inner, hidden, experts}));
}

constexpr float kEmbeddingDeviation = 0.02F;

// Control tokens and unused places are zero, so that no answer ends, or shows one, by chance.
void add_decoder_tensors(GgufFile& file, const DecoderShape& shape, std::uint64_t tokens) {
    WeightTensor embedding{.name = "token_embd.weight",
                           .type = shape.type,
                           .shape = {shape.hidden, tokens},
                           .deviation = kEmbeddingDeviation,
                           .first_column = shape.reserved,
                           .end_row = kFirstSpecial};
    WeightTensor output = embedding;
    output.name = "output.weight";
    if (!shape.tied) file.tensor(std::move(output));
    file.tensor(std::move(embedding));
    for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
        const std::string block = format("blk.{}.", layer);
        add_attention(file, shape, block);
        add_feed_forward(file, shape, block);
    }
    file.tensor(norm("output_norm.weight", shape.hidden));
}

// What the reserved dimensions of the tiny models stand for. Nothing random reaches them, so that
// what is in one is there on purpose and wins.
constexpr std::uint64_t kTools = 0;      // there are tools, and none has answered
constexpr std::uint64_t kResponse = 1;   // a tool has answered
constexpr std::uint64_t kStart = 2;      // the last token is one that an answer's text begins after
constexpr std::uint64_t kAfterCall = 3;  // the last token is <tool_call>
constexpr std::uint64_t kRest = 4;       // nothing: makes an embedding longer
constexpr std::uint64_t kFirstThought = 5;  // the last token is the first of kThoughts
constexpr std::uint32_t kReserved = kFirstThought + kThoughts.size();
// Lengths beside what the layers add, which is about 8.
constexpr float kLoud = 64;
constexpr float kClear = 10;
constexpr float kQuiet = 3;
// In the output, where random logits stay below 1: no sampling overrules what is on purpose.
constexpr float kSure = 8;

// Each thought makes the output the next. The last one is quiet: a call of a tool is louder.
void set_thoughts(GgufFile& file, const GgufVocabulary& vocabulary) {
    std::vector<SetWeight> in;
    std::vector<SetWeight> out;
    for (std::size_t i = 0; i + 1 < kThoughts.size(); ++i) {
        out.push_back({vocabulary.id(kThoughts[i + 1]), kFirstThought + i, kSure});
        if (kThoughts[i] != "</think>") {
            in.push_back({vocabulary.id(kThoughts[i]), kFirstThought + i, kLoud});
            continue;
        }
        // A prompt that asks for no thoughts ends with an empty one and an empty line.
        for (const std::string_view end : {kThoughts[i], kEmptyLine}) {
            in.push_back({vocabulary.id(end), kFirstThought + i, kQuiet});
            in.push_back({vocabulary.id(end), kStart, kClear});
        }
    }
    file.set("token_embd.weight", in);
    file.set("output.weight", out);
}

// The first layer's heads look for two tokens wherever they stand: for <tool_call>, which is in the
// prompt when there are tools, and for <tool_response>, which is there when one has answered.
void set_search(GgufFile& file, const GgufVocabulary& vocabulary, const DecoderShape& shape) {
    constexpr float kQuery = 10;
    constexpr float kKey = 4;
    constexpr float kFound = 4;
    // The dimensions of a head that rotary positions turn slowest.
    const std::uint64_t call_at = shape.head_size / 2 - 1;
    const std::uint64_t response_at = shape.head_size / 2 - 2;
    const std::uint64_t call = vocabulary.id("<tool_call>");
    const std::uint64_t response = vocabulary.id("<tool_response>");
    file.set("token_embd.weight", {{call, kTools, kLoud / 3},
                                   {call, kAfterCall, kLoud},
                                   {response, kResponse, kLoud / 3},
                                   {response, kRest, kLoud}});
    file.set("blk.0.attn_q.bias",
             {{0, call_at, kQuery}, {0, shape.head_size + response_at, kQuery}});
    file.set("blk.0.attn_k.weight", {{call_at, kTools, kKey}, {response_at, kResponse, kKey}});
    file.set("blk.0.attn_v.weight", {{kTools, kTools, 1}, {kResponse, kResponse, 1}});
    file.set("blk.0.attn_v.bias", {{0, 0, 0}});
    file.set("blk.0.attn_output.weight",
             {{kTools, kTools, kFound}, {kTools, shape.head_size + kResponse, -2 * kFound}});
}

// With tools, an answer's text begins with <tool_call>. What follows is the grammar's choice; where
// it leaves one, what ends the call soonest comes first.
void set_tool_calls(GgufFile& file, const GgufVocabulary& vocabulary, const DecoderShape& shape) {
    set_search(file, vocabulary, shape);
    const std::uint64_t call = vocabulary.id("<tool_call>");
    std::vector<SetWeight> out = {{call, kTools, 2 * kSure},
                                  {call, kStart, 2 * kSure},
                                  {vocabulary.id(kNewline), kAfterCall, kSure}};
    float liking = 0.5F * kSure;
    for (const std::string_view token : kCallTokens) {
        out.push_back({vocabulary.id(token), kTools, liking -= 0.02F * kSure});
    }
    file.set("output.weight", out);
    // After the last norm no dimension is longer than the root of their number: one of the call's
    // two reasons alone is never enough.
    const float reluctance = 2 * kSure * std::sqrt(static_cast<float>(shape.hidden));
    file.tensor(
        {.name = "output.bias", .shape = {vocabulary.size()}, .set = {{0, call, -reluctance}}});
}

DecoderShape tiny_shape(std::string name) {
    return {.name = std::move(name),
            .type = WeightType::Q8_0,
            .layers = 2,
            .hidden = kTinyHidden,
            .heads = 2,
            .kv_heads = 1,
            .head_size = 32,
            .inner = 128,
            .context = 4'096,
            .tied = false,
            .reserved = kReserved};
}

enum class Filling : bool { None, Fim };

struct ChatModel {
    GgufVocabulary vocabulary;
    GgufFile file;
};

Result<ChatModel> make_chat_model(const DecoderShape& shape, Filling filling) {
    TRY(GgufVocabulary vocabulary, read_qwen_vocabulary());
    ChatModel model{.vocabulary = std::move(vocabulary), .file = {}};
    if (filling == Filling::Fim) name_tokens(model.vocabulary, kFimTokens);
    TRY(const std::string chat_template, read_file(shared_file(kQwen25Template)));
    add_decoder_keys(model.file, shape);
    add_qwen_vocabulary(model.file, model.vocabulary, chat_template);
    if (filling == Filling::Fim) add_fim_keys(model.file);
    add_decoder_tensors(model.file, shape, model.vocabulary.size());
    return model;
}

Result<void> write_tiny(const fs::path& path, std::string name, Filling filling) {
    const DecoderShape shape = tiny_shape(std::move(name));
    TRY(ChatModel model, make_chat_model(shape, filling));
    set_tool_calls(model.file, model.vocabulary, shape);
    model.file.set("token_embd.weight", {{model.vocabulary.id(kNewline), kStart, kClear}});
    return model.file.write(path);
}

}  // namespace

DecoderShape coder_0_5b() {
    return {.name = "Random Coder 0.5B",
            .layers = 24,
            .hidden = 896,
            .heads = 14,
            .kv_heads = 2,
            .head_size = 64,
            .inner = 4'864,
            .context = 32'768};
}

DecoderShape qwen3_30b_a3b(std::uint32_t layers) {
    return {.name = format("Random 30B-A3B, {} layers", layers),
            .architecture = "qwen3moe",
            .layers = layers,
            .hidden = 2'048,
            .heads = 32,
            .kv_heads = 4,
            .head_size = 128,
            .inner = 6'144,
            .context = 40'960,
            .tied = false,
            .experts = 128,
            .experts_used = 8,
            .expert_inner = 768};
}

Result<void> write_decoder(const DecoderShape& shape, const fs::path& path) {
    TRY(const ChatModel model, make_chat_model(shape, Filling::Fim));
    return model.file.write(path);
}

Result<void> write_tiny_text(const fs::path& path, std::string name) {
    return write_tiny(path, std::move(name), Filling::None);
}

Result<void> write_tiny_fim(const fs::path& path) {
    return write_tiny(path, "Tiny Fim", Filling::Fim);
}

Result<void> write_tiny_thinking(const fs::path& path) {
    TRY(GgufVocabulary vocabulary, read_qwen_vocabulary());
    name_tokens(vocabulary, kThinkingTokens);
    TRY(const std::string chat_template, read_file(shared_file(kQwen3Template)));
    const DecoderShape shape = tiny_shape("Tiny Thinking");
    GgufFile file;
    add_decoder_keys(file, shape);
    add_qwen_vocabulary(file, vocabulary, chat_template);
    add_decoder_tensors(file, shape, vocabulary.size());
    set_thoughts(file, vocabulary);
    set_tool_calls(file, vocabulary, shape);
    return file.write(path);
}

}  // namespace hearth::testing
