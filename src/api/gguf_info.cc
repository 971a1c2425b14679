#include "api/gguf_info.h"

#include <boost/json.hpp>
#include <charconv>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/encoding.h"

namespace hearth::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kChatTemplate = "tokenizer.chat_template";

// Nearly all numbers of these files are floats. As a double 1e-5F would be 9.999999747378752e-06,
// which nobody wrote.
double as_written(double value) {
    const auto narrow = static_cast<float>(value);
    if (static_cast<double>(narrow) != value) return value;
    char text[32];
    const auto end = std::to_chars(text, text + sizeof(text), narrow);
    double read = value;
    const auto parsed = std::from_chars(text, end.ptr, read);
    return parsed.ec == std::errc{} ? read : value;
}

json::value shown(const models::GgufValue& value) {
    return std::visit(
        [](const auto& held) -> json::value {
            using Held = std::decay_t<decltype(held)>;
            if constexpr (std::is_same_v<Held, models::GgufList>) {
                return nullptr;
            } else if constexpr (std::is_same_v<Held, std::string>) {
                return json::value(repair_utf8(held));
            } else if constexpr (std::is_same_v<Held, double>) {
                return as_written(held);
            } else {
                return json::value_from(held);
            }
        },
        value);
}

json::value shown(const models::GgufTensor& tensor) {
    const models::GgufTensorType* type = models::gguf_tensor_type(tensor.type);
    return {{"name", repair_utf8(tensor.name)},
            {"type", type != nullptr ? type->name : std::string_view()},
            {"shape", json::value_from(tensor.shape)}};
}

}  // namespace

GgufInfo describe_gguf(const models::GgufHeader& header, bool with_tensors) {
    GgufInfo info;
    for (const auto& [key, value] : header.values) {
        if (key != kChatTemplate) info.values[repair_utf8(key)] = shown(value);
    }
    info.values["general.parameter_count"] = header.parameters();
    info.chat_template = repair_utf8(header.text(kChatTemplate));
    if (!with_tensors) return info;
    for (const models::GgufTensor& tensor : header.tensors) info.tensors.push_back(shown(tensor));
    return info;
}

}  // namespace hearth::api
