#include "backends/remote/kserve_call.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <numeric>
#include <utility>

#include "backends/remote/remote_error.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote::kserve {
namespace {

namespace json = boost::json;
using inference::TokenIds;
using Input = EmbedPlan::Input;

constexpr std::size_t kTensorsMax = 256;  // that a model may have
constexpr std::size_t kRankMax = 16;

bool is_float(std::string_view datatype) {
    return datatype == "FP32" || datatype == "FP16" || datatype == "BF16";
}

struct KnownInput {
    std::string_view name;
    Input::Holds holds;
};
constexpr std::array kKnownInputs = {KnownInput{"input_ids", Input::Holds::Ids},
                                     KnownInput{"attention_mask", Input::Holds::Mask},
                                     KnownInput{"token_type_ids", Input::Holds::Types}};
// The sentence's own vector first, then what is pooled here.
constexpr std::array<std::string_view, 6> kKnownOutputs = {
    "sentence_embedding", "sentence_embeddings", "embeddings",
    "embedding",          "last_hidden_state",   "token_embeddings"};

Result<Tensor> read_tensor(const json::value& value) {
    const json::object* object = value.if_object();
    if (object == nullptr || text_at(*object, "name").empty()) {
        return wrong_form("a tensor has no name");
    }
    Tensor tensor{.name = std::string(text_at(*object, "name")),
                  .datatype = std::string(text_at(*object, "datatype")),
                  .shape = {}};
    const json::array* shape = list_at(*object, "shape");
    if (shape == nullptr || shape->size() > kRankMax) return wrong_form("a tensor has no shape");
    for (const json::value& size : *shape) {
        if (!size.is_int64()) return wrong_form("a shape holds more than whole numbers");
        tensor.shape.push_back(size.get_int64());
    }
    return tensor;
}

Result<std::vector<Tensor>> read_tensors(const json::object& from, std::string_view name) {
    const json::array* list = list_at(from, name);
    if (list == nullptr || list->size() > kTensorsMax) {
        return wrong_form(format("there is no list of {}", name));
    }
    std::vector<Tensor> tensors;
    for (const json::value& value : *list) {
        TRY(Tensor tensor, read_tensor(value));
        tensors.push_back(std::move(tensor));
    }
    return tensors;
}

std::string names_of(const std::vector<Tensor>& tensors) {
    std::string out;
    for (const Tensor& tensor : tensors)
        out += format("{}{}", out.empty() ? "" : ", ", tensor.name);
    return out.empty() ? "none" : shown(out);
}

std::unexpected<Error> no_plan(std::string message) {
    return fail(Code::Unsupported, std::move(message));
}

// One text per row.
Result<Input> plan_text(const Tensor& tensor) {
    const auto& shape = tensor.shape;
    const bool sound =
        shape.size() == 1 || (shape.size() == 2 && (shape[1] == -1 || shape[1] == 1));
    if (!sound)
        return no_plan(format("the model takes {} in a shape that is no list", tensor.name));
    return Input{.name = tensor.name, .holds = Input::Holds::Text, .rank = shape.size()};
}

Result<Input> plan_input(const Tensor& tensor) {
    const auto known =
        std::ranges::find(kKnownInputs, std::string_view(tensor.name), &KnownInput::name);
    if (known == kKnownInputs.end()) {
        return no_plan(
            format("the model takes {}, which nobody here makes; input_ids, "
                   "attention_mask and token_type_ids go",
                   shown(tensor.name)));
    }
    if (tensor.datatype != "INT64" && tensor.datatype != "INT32") {
        return no_plan(
            format("the model takes {} as {}; INT64 and INT32 go", tensor.name, tensor.datatype));
    }
    if (tensor.shape.size() != 2) {
        return no_plan(format("the model takes {} with {} dimensions; rows and tokens go",
                              tensor.name, tensor.shape.size()));
    }
    return Input{.name = tensor.name, .holds = known->holds, .is_wide = tensor.datatype == "INT64"};
}

Result<const Tensor*> choose_output(const Metadata& metadata, std::string_view wanted) {
    const auto& outputs = metadata.outputs;
    const auto named = [&](std::string_view name) {
        return std::ranges::find(outputs, name, &Tensor::name);
    };
    if (!wanted.empty()) {
        if (named(wanted) != outputs.end()) return &*named(wanted);
        return no_plan(format("the model gives no {}, but {}", wanted, names_of(outputs)));
    }
    for (const std::string_view name : kKnownOutputs) {
        if (named(name) != outputs.end()) return &*named(name);
    }
    if (outputs.size() == 1) return &outputs.front();
    return no_plan(
        format("the model gives {}; name the one that is the embedding", names_of(outputs)));
}

std::optional<std::size_t> fixed(std::int64_t size) {
    return size > 0 ? std::optional(static_cast<std::size_t>(size)) : std::nullopt;
}

std::int64_t value_at(Input::Holds holds, const TokenIds& row, std::size_t at,
                      std::int32_t padding_id) {
    const bool is_token = at < row.size();
    switch (holds) {
        case Input::Holds::Ids: return is_token ? row[at] : padding_id;
        case Input::Holds::Mask: return is_token ? 1 : 0;
        case Input::Holds::Types:
        case Input::Holds::Text: return 0;
    }
    return 0;
}

void append_tensor(std::string& out, const Input& input, std::span<const TokenIds> rows,
                   std::size_t length, std::int32_t padding_id) {
    const std::size_t bytes = input.is_wide ? 8 : 4;
    for (const TokenIds& row : rows) {
        for (std::size_t at = 0; at < length; ++at) {
            const auto value =
                static_cast<std::uint64_t>(value_at(input.holds, row, at, padding_id));
            for (std::size_t byte = 0; byte < bytes; ++byte) {
                out += static_cast<char>(value >> (8 * byte) & 0xFF);
            }
        }
    }
}

Result<std::size_t> padded_length(const EmbedPlan& plan, std::span<const TokenIds> rows) {
    if (rows.empty() || rows.size() > kBatchMax) {
        return invalid(format("{} rows; 1 to {} go into one call", rows.size(), kBatchMax));
    }
    std::size_t longest = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i].empty()) {
            return fail({.code = Code::InvalidArgument,
                         .message = format("input[{}] has no tokens", i),
                         .param = format("input[{}]", i)});
        }
        longest = std::max(longest, rows[i].size());
    }
    const std::size_t length = plan.length.value_or(longest);
    if (longest > length) {
        return fail({.code = Code::InvalidArgument,
                     .message = format("a text has {} tokens; the model takes {}", longest, length),
                     .reason = "context_length_exceeded",
                     .amount = longest,
                     .limit = length});
    }
    if (length > kElementsMax / rows.size()) {
        return fail(Code::TooLarge, format("{} rows of {} tokens are over {} together; send fewer",
                                           rows.size(), length, kElementsMax));
    }
    return length;
}

Result<void> check_plan(const EmbedPlan& plan, std::span<const TokenIds> rows, std::size_t length) {
    if (plan.rows && *plan.rows != rows.size()) {
        return no_plan(format("the model takes {} rows at once, not {}", *plan.rows, rows.size()));
    }
    const bool is_even =
        std::ranges::all_of(rows, [length](const TokenIds& row) { return row.size() == length; });
    if (plan.has_mask() || is_even) return {};
    return no_plan("the model takes no attention_mask: texts of different lengths go one by one");
}

bool holds(const EmbedPlan& plan, Input::Holds what) {
    return std::ranges::find(plan.inputs, what, &Input::holds) != plan.inputs.end();
}

Result<void> plan_tokens(const Metadata& metadata, EmbedPlan& plan) {
    for (const Tensor& tensor : metadata.inputs) {
        TRY(Input input, plan_input(tensor));
        if (holds(plan, input.holds)) {
            return no_plan(format("the model takes {} twice", input.name));
        }
        if (const auto rows = fixed(tensor.shape[0])) plan.rows = rows;
        if (const auto length = fixed(tensor.shape[1])) plan.length = length;
        plan.inputs.push_back(std::move(input));
    }
    if (holds(plan, Input::Holds::Ids)) return {};
    return no_plan(format("the model takes no input_ids, but {}", names_of(metadata.inputs)));
}

// What a server leaves out of its metadata is seen when vectors come.
Result<void> plan_output(const Tensor& output, EmbedPlan& plan) {
    plan.output = output.name;
    if (!output.datatype.empty() && !is_float(output.datatype)) {
        return no_plan(format("the model gives {} as {}; FP32, FP16 and BF16 go", output.name,
                              output.datatype));
    }
    const std::size_t rank = output.shape.size();
    if (rank == 0) return {};
    if (rank != 2 && (rank != 3 || plan.takes_text)) {
        return no_plan(format("the model gives {} with {} dimensions; {} go", output.name, rank,
                              plan.takes_text ? "rows of vectors" : "2 or 3"));
    }
    plan.dimension = fixed(output.shape.back());
    return {};
}

http::Call infer_call(std::string_view model, const EmbedPlan& plan, json::array inputs,
                      const std::string& tensors) {
    json::array outputs;
    outputs.push_back({{"name", plan.output}, {"parameters", {{"binary_data", true}}}});
    const std::string head = json::serialize(
        json::object{{"inputs", std::move(inputs)}, {"outputs", std::move(outputs)}});
    return http::Call{.method = http::Method::Post,
                      .target = format("/v2/models/{}/infer", encode_segment(model)),
                      .headers = {{"content-type", "application/octet-stream"},
                                  {"inference-header-content-length", std::to_string(head.size())}},
                      .body = head + tensors};
}

}  // namespace

bool EmbedPlan::has_mask() const { return holds(*this, Input::Holds::Mask); }

http::Call config_call(std::string_view model) {
    return read_call(format("/v2/models/{}/config", encode_segment(model)));
}

std::optional<std::size_t> parse_batch_max(std::string_view body) {
    const auto config = read_answer(body);
    if (!config) return std::nullopt;
    const auto most = count_at(*config, "max_batch_size");
    return most.value_or(0) > 0 ? most : std::nullopt;
}

http::Call metadata_call(std::string_view model) {
    return read_call(format("/v2/models/{}", encode_segment(model)));
}

Result<Metadata> parse_metadata(std::string_view body) {
    TRY(const json::object answer, read_answer(body));
    Metadata metadata{.name = std::string(text_at(answer, "name")), .inputs = {}, .outputs = {}};
    TRY(metadata.inputs, read_tensors(answer, "inputs"));
    TRY(metadata.outputs, read_tensors(answer, "outputs"));
    return metadata;
}

Result<EmbedPlan> plan_embed(const Metadata& metadata, std::string_view output) {
    EmbedPlan plan;
    if (metadata.inputs.size() == 1 && metadata.inputs.front().datatype == "BYTES") {
        plan.takes_text = true;
        TRY(Input text, plan_text(metadata.inputs.front()));
        plan.rows = fixed(metadata.inputs.front().shape[0]);
        plan.inputs.push_back(std::move(text));
    } else {
        TRY_VOID(plan_tokens(metadata, plan));
    }
    TRY(const Tensor* found, choose_output(metadata, output));
    TRY_VOID(plan_output(*found, plan));
    return plan;
}

Result<http::Call> encode_embed(const EmbedPlan& plan, std::string_view model,
                                std::span<const TokenIds> rows, std::int32_t padding_id) {
    TRY(const std::size_t length, padded_length(plan, rows));
    TRY_VOID(check_plan(plan, rows, length));
    json::array inputs;
    std::string tensors;
    for (const Input& input : plan.inputs) {
        const std::size_t begin = tensors.size();
        append_tensor(tensors, input, rows, length, padding_id);
        inputs.push_back({{"name", input.name},
                          {"shape", {rows.size(), length}},
                          {"datatype", input.is_wide ? "INT64" : "INT32"},
                          {"parameters", {{"binary_data_size", tensors.size() - begin}}}});
    }
    return infer_call(model, plan, std::move(inputs), tensors);
}

// Each text behind its length, of four bytes.
Result<http::Call> encode_texts(const EmbedPlan& plan, std::string_view model,
                                std::span<const std::string> rows) {
    if (rows.empty() || rows.size() > kBatchMax) {
        return invalid(format("{} rows; 1 to {} go into one call", rows.size(), kBatchMax));
    }
    if (plan.rows && *plan.rows != rows.size()) {
        return no_plan(format("the model takes {} rows at once, not {}", *plan.rows, rows.size()));
    }
    std::string tensor;
    for (const std::string& row : rows) {
        for (std::size_t byte = 0; byte < 4; ++byte) {
            tensor += static_cast<char>(row.size() >> (8 * byte) & 0xFF);
        }
        tensor += row;
    }
    const Input& input = plan.inputs.front();
    json::array shape = {rows.size()};
    if (input.rank == 2) shape.push_back(1);
    json::array inputs = {{{"name", input.name},
                           {"shape", std::move(shape)},
                           {"datatype", "BYTES"},
                           {"parameters", {{"binary_data_size", tensor.size()}}}}};
    return infer_call(model, plan, std::move(inputs), tensor);
}

std::vector<std::vector<std::size_t>> split_rows(const EmbedPlan& plan,
                                                 std::span<const std::size_t> lengths,
                                                 std::size_t rows_max) {
    std::vector<std::size_t> order(lengths.size());
    std::iota(order.begin(), order.end(), 0UZ);
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
        return lengths[a] != lengths[b] ? lengths[a] > lengths[b] : a < b;
    });
    rows_max = std::min({rows_max, plan.rows.value_or(rows_max), kBatchMax});
    const bool of_one_length = !plan.takes_text && !plan.has_mask();
    const auto sent = [&](std::size_t at) { return plan.length.value_or(lengths[at]); };
    std::vector<std::vector<std::size_t>> batches;
    for (const std::size_t at : order) {
        // The first of a batch is its longest.
        const bool fits =
            !batches.empty() && batches.back().size() < rows_max &&
            (!of_one_length || lengths[batches.back().front()] == lengths[at]) &&
            (batches.back().size() + 1) * sent(batches.back().front()) <= kElementsMax;
        if (!fits) batches.emplace_back();
        batches.back().push_back(at);
    }
    return batches;
}

}  // namespace hearth::remote::kserve
