#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/format.h"
#include "models/json_file.h"
#include "models/model.h"

namespace hearth::models {
namespace json = boost::json;
namespace {

// Bounds on what a folder may claim. Far above every published encoder, far below what could
// exhaust a machine before the weights are seen.
constexpr std::size_t kHiddenMax = 16'384;
constexpr std::size_t kLayersMax = 256;
constexpr std::size_t kHeadsMax = 256;
constexpr std::size_t kIntermediateMax = 131'072;
constexpr std::size_t kVocabularyMax = 4 << 20;
constexpr std::size_t kTokenTypesMax = 1024;
constexpr std::size_t kPositionsMax = 1 << 20;
constexpr std::size_t kPromptsMax = 1024;
constexpr std::size_t kMatryoshkaMax = 64;

std::unexpected<Error> unsupported(std::string_view file, std::string_view what) {
    return fail(Code::Unsupported, format("{}: {}", file, what));
}

Result<void> read_norm_epsilon(const JsonObject& object, JsonObject::Names names,
                               EncoderConfig& config) {
    TRY(const double epsilon, object.number(names, 1e-30, 0.1, 1e-12));
    config.norm_epsilon = static_cast<float>(epsilon);
    return {};
}

Result<void> read_bert(const JsonObject& object, EncoderConfig& config) {
    TRY(config.hidden, object.size({"hidden_size"}, 1, kHiddenMax));
    TRY(config.layers, object.size({"num_hidden_layers"}, 1, kLayersMax));
    TRY(config.heads, object.size({"num_attention_heads"}, 1, kHeadsMax));
    TRY(config.intermediate, object.size({"intermediate_size"}, 1, kIntermediateMax));
    TRY(config.vocabulary, object.size({"vocab_size"}, 1, kVocabularyMax));
    TRY(config.token_types, object.size({"type_vocab_size"}, 0, kTokenTypesMax, 2));
    TRY(config.positions_max, object.size({"max_position_embeddings"}, 3, kPositionsMax));
    TRY(config.activation, object.text({"hidden_act"}, "gelu"));
    TRY_VOID(read_norm_epsilon(object, {"layer_norm_eps"}, config));
    if (config.activation == "gelu_pytorch_tanh") config.activation = "gelu_new";
    if (config.activation != "gelu" && config.activation != "gelu_new" &&
        config.activation != "relu") {
        return unsupported("config.json", format("hidden_act \"{}\" is not offered; gelu, "
                                                 "gelu_new and relu are",
                                                 config.activation));
    }
    TRY(const std::string positions, object.text({"position_embedding_type"}, "absolute"));
    if (positions != "absolute") {
        return unsupported("config.json",
                           format("position_embedding_type \"{}\" is not offered", positions));
    }
    TRY(const bool decoder, object.flag("is_decoder", false));
    if (decoder) return unsupported("config.json", "is_decoder is true; only encoders are served");
    return {};
}

// Variants of NomicBERT that compute something else than the engine does.
Result<void> refuse_nomic_variants(const JsonObject& object) {
    for (const std::string_view flag : {"prenorm", "use_rms_norm", "causal", "parallel_block"}) {
        TRY(const bool on, object.flag(flag, false));
        if (on) return unsupported("config.json", format("{} is true, which is not offered", flag));
    }
    if (object.find("rotary_emb_scale_base") != nullptr) {
        return unsupported("config.json", "rotary_emb_scale_base (xPos) is not offered");
    }
    TRY(const std::size_t experts, object.size({"num_experts"}, 0, 1 << 16, 0));
    if (experts > 1) return unsupported("config.json", "mixtures of experts are not offered");
    return {};
}

Result<void> read_rotary(const JsonObject& object, EncoderConfig& config) {
    TRY(const double base, object.number({"rotary_emb_base", "rope_theta"}, 1, 1e9, 10'000));
    TRY(const double fraction, object.number({"rotary_emb_fraction"}, 0, 1, 1));
    TRY(config.rotary_interleaved, object.flag("rotary_emb_interleaved", false));
    if (fraction == 0) {
        return unsupported("config.json",
                           "rotary_emb_fraction is 0; learned positions are not "
                           "offered for nomic_bert");
    }
    config.rotary_base = static_cast<float>(base);
    config.rotary_fraction = static_cast<float>(fraction);
    return {};
}

Result<void> read_nomic_bert(const JsonObject& object, EncoderConfig& config) {
    TRY_VOID(refuse_nomic_variants(object));
    TRY(config.hidden, object.size({"n_embd", "hidden_size"}, 1, kHiddenMax));
    TRY(config.layers, object.size({"n_layer", "num_hidden_layers"}, 1, kLayersMax));
    TRY(config.heads, object.size({"n_head", "num_attention_heads"}, 1, kHeadsMax));
    TRY(config.intermediate,
        object.size({"n_inner", "intermediate_size"}, 1, kIntermediateMax, 4 * config.hidden));
    TRY(config.vocabulary, object.size({"vocab_size"}, 1, kVocabularyMax));
    TRY(config.token_types, object.size({"type_vocab_size"}, 0, kTokenTypesMax, 2));
    TRY(config.positions_max,
        object.size({"n_positions", "max_position_embeddings"}, 3, kPositionsMax));
    TRY_VOID(read_norm_epsilon(object, {"layer_norm_epsilon", "layer_norm_eps"}, config));
    TRY_VOID(read_rotary(object, config));
    TRY(config.qkv_bias, object.flag("qkv_proj_bias", true));
    TRY(config.mlp_bias, object.flag("mlp_fc1_bias", true));
    TRY(const bool second_bias, object.flag("mlp_fc2_bias", config.mlp_bias));
    if (second_bias != config.mlp_bias) {
        return unsupported("config.json", "mlp_fc1_bias and mlp_fc2_bias differ");
    }
    TRY(config.activation, object.text({"activation_function", "hidden_act"}, "swiglu"));
    if (config.activation != "swiglu") {
        return unsupported("config.json", format("activation_function \"{}\" is not offered for "
                                                 "nomic_bert; swiglu is",
                                                 config.activation));
    }
    // Beyond the trained window a scaling factor changes the rotation with the length of each text:
    // the window stops where that would begin.
    TRY(const std::size_t trained,
        object.size({"max_trained_positions"}, 3, kPositionsMax, config.positions_max));
    if (object.find("rotary_scaling_factor") != nullptr) {
        config.positions_max = std::min(config.positions_max, trained);
    }
    return {};
}

Result<void> read_matryoshka(const JsonObject& object, EncoderConfig& config) {
    const json::value* list = object.find("matryoshka_dimensions");
    if (list == nullptr) return {};
    const auto expected =
        format("a list of at most {} whole numbers from 1 to {}", kMatryoshkaMax, config.hidden);
    if (!list->is_array() || list->get_array().size() > kMatryoshkaMax) {
        return object.wrong("matryoshka_dimensions", expected, *list);
    }
    for (const json::value& item : list->get_array()) {
        boost::system::error_code error;
        const auto dimension = item.to_number<std::uint64_t>(error);
        if (error || dimension < 1 || dimension > config.hidden) {
            return object.wrong("matryoshka_dimensions", expected, item);
        }
        config.matryoshka.push_back(dimension);
    }
    std::ranges::sort(config.matryoshka);
    const auto repeated = std::ranges::unique(config.matryoshka);
    config.matryoshka.erase(repeated.begin(), repeated.end());
    return {};
}

Result<void> read_shape(const std::filesystem::path& folder, EncoderConfig& config) {
    TRY(const JsonObject object, JsonObject::read(folder, "config.json"));
    TRY(config.family, object.text({"model_type"}, ""));
    if (config.family == "bert") {
        TRY_VOID(read_bert(object, config));
    } else if (config.family == "nomic_bert") {
        TRY_VOID(read_nomic_bert(object, config));
    } else if (config.family.empty()) {
        return fail(Code::InvalidArgument, "config.json has no model_type");
    } else {
        return unsupported("config.json", format("model_type \"{}\" is not offered; bert and "
                                                 "nomic_bert are",
                                                 config.family));
    }
    if (config.hidden % config.heads != 0) {
        return fail(Code::InvalidArgument,
                    format("config.json: a hidden size of {} cannot be divided by {} heads",
                           config.hidden, config.heads));
    }
    return read_matryoshka(object, config);
}

// Checks that the rotated share of a head is a whole, even number of values.
Result<void> check_rotary(const EncoderConfig& config) {
    if (config.rotary_base == 0) return {};
    const std::size_t head = config.hidden / config.heads;
    const double rotated = static_cast<double>(head) * static_cast<double>(config.rotary_fraction);
    if (std::fmod(rotated, 2.0) != 0) {
        return fail(Code::InvalidArgument,
                    format("config.json: rotary_emb_fraction {} of a head of {} is not an even "
                           "number of values",
                           config.rotary_fraction, head));
    }
    return {};
}

Result<Pooling> pooling_named(std::string_view mode) {
    if (mode == "mean") return Pooling::Mean;
    if (mode == "cls") return Pooling::Cls;
    if (mode == "lasttoken") return Pooling::LastToken;
    return unsupported("pooling",
                       format("mode \"{}\" is not offered; mean, cls and lasttoken are", mode));
}

Result<Pooling> read_pooling(const std::filesystem::path& folder, const std::string& file) {
    TRY(const JsonObject object, JsonObject::read(folder, file));
    TRY(const bool include_prompt, object.flag("include_prompt", true));
    if (!include_prompt) return unsupported(file, "include_prompt false is not offered");
    TRY(const std::string named, object.text({"pooling_mode"}, ""));
    if (!named.empty()) return pooling_named(named);

    constexpr std::pair<std::string_view, std::string_view> kModes[] = {
        {"pooling_mode_mean_tokens", "mean"},
        {"pooling_mode_cls_token", "cls"},
        {"pooling_mode_lasttoken", "lasttoken"},
        {"pooling_mode_max_tokens", "max"},
        {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len"},
        {"pooling_mode_weightedmean_tokens", "weightedmean"},
    };
    std::string_view chosen;
    for (const auto& [member, mode] : kModes) {
        TRY(const bool on, object.flag(member, false));
        if (!on) continue;
        if (!chosen.empty()) return unsupported(file, "several pooling modes are on; one may be");
        chosen = mode;
    }
    if (chosen.empty()) return fail(Code::InvalidArgument, file + ": no pooling mode is on");
    return pooling_named(chosen);
}

// A path inside the folder, as modules.json writes it: one plain folder name, or empty.
bool is_plain_name(std::string_view path) {
    return path != "." && path != ".." &&
           path.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

struct Module {
    std::string kind;  // "Transformer", "Pooling", ...
    std::string path;
};

Result<Module> read_module(const json::value& value) {
    const json::object* object = value.if_object();
    const json::value* type = object != nullptr ? object->if_contains("type") : nullptr;
    const json::value* path = object != nullptr ? object->if_contains("path") : nullptr;
    if (type == nullptr || !type->is_string() || path == nullptr || !path->is_string()) {
        return fail(Code::InvalidArgument,
                    "modules.json: every module must be an object with the strings type and path");
    }
    const std::string_view full = type->get_string();
    Module module{.kind = std::string(full.substr(full.rfind('.') + 1)),
                  .path = std::string(std::string_view(path->get_string()))};
    if (!is_plain_name(module.path)) {
        return fail(Code::InvalidArgument,
                    format("modules.json: the path {} must be the name of a folder beside it",
                           describe(*path)));
    }
    return module;
}

Result<json::array> read_module_list(const std::filesystem::path& folder) {
    auto text = read_file(folder / "modules.json", "modules.json", kJsonFileBytesMax);
    if (!text && text.error().code == Code::NotFound) return json::array{};
    if (!text) return fail(std::move(text).error());
    TRY(json::value value, parse_json(*text, "modules.json"));
    if (!value.is_array() || value.get_array().empty()) {
        return fail(Code::InvalidArgument,
                    format("modules.json must hold a list of modules, not {}", describe(value)));
    }
    return std::move(value.get_array());
}

// Without modules.json a folder is a bare transformer: mean pooling and normalised, as most clients
// expect.
Result<void> read_modules(const std::filesystem::path& folder, EncoderConfig& config) {
    TRY(const json::array list, read_module_list(folder));
    if (list.empty()) return {};
    config.normalize = false;
    bool has_pooling = false;
    for (std::size_t i = 0; i < list.size(); ++i) {
        TRY(const Module module, read_module(list[i]));
        if (i == 0 ? module.kind != "Transformer" : module.kind == "Transformer") {
            return unsupported("modules.json", "exactly the first module must be a Transformer");
        }
        if (i == 0 && !module.path.empty()) {
            return unsupported("modules.json", "the transformer lies in a folder of its own");
        }
        if (module.kind == "Pooling") {
            if (has_pooling) return unsupported("modules.json", "it has two Pooling modules");
            has_pooling = true;
            const std::string at = module.path.empty() ? "" : module.path + "/";
            TRY(config.pooling, read_pooling(folder, at + "config.json"));
        } else if (module.kind == "Normalize") {
            config.normalize = true;
        } else if (module.kind != "Transformer" && module.kind != "Dropout") {
            return unsupported("modules.json", format("a module of type {} is not offered",
                                                      describe(json::value(module.kind))));
        }
    }
    return {};
}

// The window served. As sentence-transformers has it: max_seq_length where it is given, otherwise
// what the tokenizer says, and never more than the positions.
Result<void> read_window(const std::filesystem::path& folder, EncoderConfig& config) {
    TRY(const JsonObject sentence, JsonObject::read_optional(folder, "sentence_bert_config.json"));
    TRY(config.lower_case, sentence.flag("do_lower_case", false));
    TRY(std::size_t tokens, sentence.size({"max_seq_length"}, 3, kPositionsMax, 0));
    if (tokens == 0) {
        TRY(const JsonObject tokenizer, JsonObject::read_optional(folder, "tokenizer_config.json"));
        // Tokenizers without a limit of their own write 1e30 here.
        TRY(const double most, tokenizer.number({"model_max_length"}, 3, 1e300,
                                                static_cast<double>(config.positions_max)));
        tokens = static_cast<std::size_t>(std::min(most, static_cast<double>(kPositionsMax)));
    }
    config.tokens_max = std::min(tokens, config.positions_max);
    return {};
}

Result<void> read_prompts(const std::filesystem::path& folder, EncoderConfig& config) {
    constexpr std::string_view kFile = "config_sentence_transformers.json";
    TRY(const JsonObject object, JsonObject::read_optional(folder, kFile));
    if (const json::value* prompts = object.find("prompts")) {
        const auto expected = format("an object of at most {} strings", kPromptsMax);
        if (!prompts->is_object() || prompts->get_object().size() > kPromptsMax) {
            return object.wrong("prompts", expected, *prompts);
        }
        for (const auto& [name, text] : prompts->get_object()) {
            if (!text.is_string()) return object.wrong("prompts", expected, text);
            config.prompts.emplace(std::string_view(name), std::string_view(text.get_string()));
        }
    }
    TRY(config.default_prompt, object.text({"default_prompt_name"}, ""));
    if (!config.default_prompt.empty() && !config.prompts.contains(config.default_prompt)) {
        return fail(Code::InvalidArgument,
                    format("{}: default_prompt_name {} is none of its prompts", kFile,
                           describe(json::value(config.default_prompt))));
    }
    return {};
}

}  // namespace

Result<EncoderConfig> read_encoder_config(const std::filesystem::path& folder) {
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) {
        return fail(Code::NotFound, format("there is no folder {}", folder.string()));
    }
    EncoderConfig config;
    TRY_VOID(read_shape(folder, config));
    TRY_VOID(check_rotary(config));
    TRY_VOID(read_modules(folder, config));
    TRY_VOID(read_window(folder, config));
    TRY_VOID(read_prompts(folder, config));
    return config;
}

}  // namespace hearth::models
