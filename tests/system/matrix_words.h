#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

// What servers of each kind write, as recorded: src/backends/remote/testdata has more of it.
namespace hearth::system_test::matrix {

// What a server of the kind tells of itself and its models, where the request is one for that.
std::optional<std::string> told_of(std::string_view kind, std::string_view request);
std::string error_of(std::string_view kind, int status);
// Not one of those that embed or rerank.
bool is_generating(std::string_view target);

// Vectors as KServe's protocol has them: a head of JSON, of the bytes told, then numbers.
struct Tensors {
    std::string body;
    std::size_t head_bytes = 0;
};
Tensors tensors();

// One answer: kSaid, or the call of a tool.
struct Words {
    std::string_view kind;
    std::string_view target;
    const boost::json::object& asked;
    bool calls = false;

    std::string whole() const;
    // A stream in two parts.
    std::string beginning() const;
    std::string rest() const;
    std::string failure() const;  // an error, instead of the second
};

}  // namespace hearth::system_test::matrix
