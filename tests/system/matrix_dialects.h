#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "matrix_answer.h"

// What the dialects have words for, and how a call is written in each.
namespace hearth::system_test::matrix {

enum class Column : std::uint8_t {
    Plain,
    Stream,
    Tools,
    ToolStream,
    Schema,
    Image,
    Usage,
    Error,
    Cancel,
};
inline constexpr Column kColumns[] = {Column::Plain,      Column::Stream, Column::Tools,
                                      Column::ToolStream, Column::Schema, Column::Image,
                                      Column::Usage,      Column::Error,  Column::Cancel};
std::string_view title_of(Column column);

enum class Sort : std::uint8_t {
    Chat,    // messages and answers
    Text,    // a text goes on
    Gap,     // what stands between two texts
    Embed,   // vectors of texts
    Rerank,  // scores of texts
};

struct Dialect {
    const char* route;
    const char* about;
    Sort sort;
    Form form;
    Errors errors;
    bool names_model = true;  // without, the default model is asked
};
std::span<const Dialect> dialects();

// Its streams tell tokens to those alone who ask for it.
bool usage_is_asked_for(const Dialect& dialect);

// A call, of which the dialect decides how it is written.
struct Ask {
    std::string model;
    bool stream = false;
    int tokens = 3;
    std::string text = "what is the weather?";
    bool tools = false;
    bool schema = false;
    bool image = false;
    std::string marker = "<__media__>";  // where the image stands in a bare prompt
    bool include_usage = false;          // where a stream tells it only then
};
std::string body_of(const Dialect& dialect, const Ask& ask);

// A picture of one point, in base64.
extern const std::string_view kPicture;
// Of the tool that calls offer.
inline constexpr std::string_view kTool = "weather";

// Texts of embedding and reranking calls.
inline constexpr std::string_view kTexts[] = {"a panda is a bear", "paris is a city"};

}  // namespace hearth::system_test::matrix
