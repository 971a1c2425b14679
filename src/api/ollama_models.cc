#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <vector>

#include "api/json_text.h"
#include "api/ollama.h"
#include "api/ollama_modelfile.h"
#include "base/format.h"

// What Ollama's clients are told of models: tags, ps and show.
namespace hearth::api::ollama {
namespace {

using models::Model;

// "22.71M", "137M", "8.0B": as this dialect shows a count of parameters.
std::string parameter_size(std::uint64_t count) {
    const auto number = static_cast<double>(count);
    const auto shown = [number](double unit, int digits, char letter) {
        const double value = number / unit;
        return format("{:.{}f}{}", value, std::trunc(value) == value ? 0 : digits, letter);
    };
    if (count >= 1'000'000'000) return shown(1e9, 1, 'B');
    if (count >= 1'000'000) return shown(1e6, 2, 'M');
    if (count >= 1'000) return shown(1e3, 0, 'K');
    return std::to_string(count);
}

// GGUF writes architectures with a hyphen.
std::string architecture(const Model& model) {
    std::string name = model.family;
    if (!model.gguf) std::ranges::replace(name, '_', '-');
    return name;
}

bool is_elsewhere(const Model& model) { return model.home == models::Home::Elsewhere; }

// Of a model elsewhere little is known, and what is not is no 0.
bool is_known(const Model& model, std::uint64_t number) {
    return number > 0 || !is_elsewhere(model);
}

bool has_projector(const Model& model) { return model.gguf && !model.gguf->projector.empty(); }

// Of a store's model that of its manifest: by it clients see that a model has changed.
const std::string& digest_of(const Model& model) {
    const bool named = model.gguf && !model.gguf->manifest_digest.empty();
    return named ? model.gguf->manifest_digest : model.digest;
}

void append_strings(std::string& out, const std::vector<std::string>& texts) {
    out += '[';
    for (const std::string& text : texts) {
        if (&text != texts.data()) out += ',';
        append_text(out, text);
    }
    out += ']';
}

void append_details(std::string& out, const Model& model) {
    const std::string family = architecture(model);
    out += R"({"parent_model":"","format":)";
    append_text(out, model.format);
    out += R"(,"family":)";
    append_text(out, family);
    out += R"(,"families":)";
    append_strings(out, has_projector(model) ? std::vector<std::string>{family, "clip"}
                                             : std::vector<std::string>{family});
    out += R"(,"parameter_size":)";
    append_text(out, is_known(model, model.parameters) ? parameter_size(model.parameters) : "");
    out += R"(,"quantization_level":)";
    append_text(out, model.precision);
    const auto append_length = [&](std::string_view name, std::size_t length) {
        if (!is_known(model, length)) return;
        out += format(R"(,"{}":)", name);
        append_integer(out, static_cast<std::uint64_t>(length));
    };
    append_length("context_length", model.context_length);
    append_length("embedding_length", model.embedding_length);
    out += '}';
}

void append_head(std::string& out, const Model& model) {
    out += R"({"name":)";
    append_text(out, model.name);
    out += R"(,"model":)";
    append_text(out, model.name);
}

// Members of model_info: "ARCHITECTURE.key" and "general.key".
class Info {
  public:
    Info(std::string& out, std::string architecture)
        : out_(out), architecture_(std::move(architecture)) {
        out_ += R"({"general.architecture":)";
        append_text(out_, architecture_);
    }
    void general(std::string_view key, std::uint64_t value) {
        name("general", key);
        append_integer(out_, value);
    }
    void size(std::string_view key, std::uint64_t value) {
        name(architecture_, key);
        append_integer(out_, value);
    }
    void number(std::string_view key, float value) {
        name(architecture_, key);
        append_number(out_, value);
    }
    void flag(std::string_view key, bool value) {
        name(architecture_, key);
        out_ += value ? "true" : "false";
    }
    void finish() { out_ += '}'; }

  private:
    void name(std::string_view scope, std::string_view key) {
        out_ += ',';
        append_text(out_, format("{}.{}", scope, key));
        out_ += ':';
    }

    std::string& out_;
    std::string architecture_;
};

// llama.cpp's enum llama_pooling_type.
std::uint64_t gguf_pooling(models::Pooling pooling) {
    switch (pooling) {
        case models::Pooling::Mean: return 1;
        case models::Pooling::Cls: return 2;
        case models::Pooling::LastToken: return 3;
    }
    return 1;
}

void append_encoder_info(Info& info, const models::EncoderConfig& encoder) {
    info.size("block_count", encoder.layers);
    info.size("feed_forward_length", encoder.intermediate);
    info.size("attention.head_count", encoder.heads);
    info.number("attention.layer_norm_epsilon", encoder.norm_epsilon);
    info.flag("attention.causal", false);
    info.size("pooling_type", gguf_pooling(encoder.pooling));
    info.flag("normalize_embeddings", encoder.normalize);
    info.size("vocab_size", encoder.vocabulary);
    if (encoder.rotary_base > 0) info.number("rope.freq_base", encoder.rotary_base);
}

// The keys a GGUF of this model would have. context_length is the window served: clients cut their
// texts by it.
void append_model_info(std::string& out, const Model& model) {
    Info info(out, architecture(model));
    if (is_known(model, model.parameters)) info.general("parameter_count", model.parameters);
    if (is_known(model, model.context_length)) info.size("context_length", model.context_length);
    if (is_known(model, model.embedding_length)) {
        info.size("embedding_length", model.embedding_length);
    }
    if (!model.gguf && !is_elsewhere(model)) append_encoder_info(info, model.encoder);
    info.finish();
}

// A store's own template is shown and not run, the file's is run.
std::string prompt_template_of(const Model& model, const GgufInfo& info) {
    if (is_elsewhere(model)) return {};
    if (model.gguf && !model.gguf->ollama_template.empty()) return model.gguf->ollama_template;
    return info.chat_template.empty() ? "{{ .Prompt }}" : info.chat_template;
}

// What a store holds beside the weights.
void append_layers(std::string& out, const models::GgufModel& model) {
    const auto append = [&out](std::string_view name, const std::string& text) {
        if (text.empty()) return;
        out += format(R"(,"{}":)", name);
        append_text(out, text);
    };
    append("system", model.system);
    append("license", model.license);
    boost::system::error_code failed;
    const boost::json::value messages = boost::json::parse(model.messages, failed);
    if (failed || !messages.is_array()) return;
    out += R"(,"messages":)";
    append_json(out, messages);
}

}  // namespace

Reply encode_tags(std::span<const Model> models) {
    Reply answer{.body = R"({"models":[)"};
    std::string& out = answer.body;
    for (const Model& model : models) {
        if (&model != models.data()) out += ',';
        append_head(out, model);
        out += R"(,"modified_at":)";
        out += '"';
        append_time(out, model.modified_unix_ns);
        out += R"(","size":)";
        append_integer(out, model.size_bytes);
        out += R"(,"digest":)";
        append_text(out, digest_of(model));
        out += R"(,"details":)";
        append_details(out, model);
        out += R"(,"capabilities":)";
        append_strings(out, model.capabilities);
        out += '}';
    }
    out += "]}";
    return answer;
}

Reply encode_ps(std::span<const RunningModel> running) {
    std::vector<RunningModel> order(running.begin(), running.end());
    std::ranges::sort(order, [](const RunningModel& a, const RunningModel& b) {
        if (a.expires_unix_ns != b.expires_unix_ns) return a.expires_unix_ns > b.expires_unix_ns;
        return a.model->name < b.model->name;
    });
    Reply answer{.body = R"({"models":[)"};
    std::string& out = answer.body;
    for (const RunningModel& entry : order) {
        if (&entry != order.data()) out += ',';
        append_head(out, *entry.model);
        out += R"(,"size":)";
        append_integer(out, entry.memory_bytes);
        out += R"(,"digest":)";
        append_text(out, digest_of(*entry.model));
        out += R"(,"details":)";
        append_details(out, *entry.model);
        out += R"(,"expires_at":")";
        append_time(out, entry.expires_unix_ns);
        out += R"(","size_vram":)";
        append_integer(out, entry.device_bytes);
        out += R"(,"context_length":)";
        append_integer(out, static_cast<std::uint64_t>(
                                entry.context > 0 ? entry.context : entry.model->context_length));
        if (!entry.load_reason.empty()) {
            out += R"(,"load_reason":)";
            append_text(out, entry.load_reason);
        }
        out += '}';
    }
    out += "]}";
    return answer;
}

Reply encode_show(const Model& model, const GgufInfo& info, const GgufInfo& projector) {
    Reply answer;
    std::string& out = answer.body;
    out += R"({"modelfile":)";
    append_text(out, show_modelfile(model));
    out += R"(,"parameters":)";
    append_text(out, show_parameters(model));
    out += R"(,"template":)";
    append_text(out, prompt_template_of(model, info));
    if (model.gguf) append_layers(out, *model.gguf);
    out += R"(,"details":)";
    append_details(out, model);
    out += R"(,"model_info":)";
    if (info.values.empty()) {
        append_model_info(out, model);
    } else {
        append_json(out, info.values);
    }
    if (!projector.values.empty()) {
        out += R"(,"projector_info":)";
        append_json(out, projector.values);
    }
    if (!info.tensors.empty()) {
        out += R"(,"tensors":)";
        append_json(out, info.tensors);
    }
    out += R"(,"capabilities":)";
    append_strings(out, model.capabilities);
    out += R"(,"modified_at":")";
    append_time(out, model.modified_unix_ns);
    out += R"("})";
    return answer;
}

}  // namespace hearth::api::ollama
