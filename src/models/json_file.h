#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

// Small JSON files of a model folder, read with bounds. Only for the .cc files of this module.
namespace hearth::models {

inline constexpr std::size_t kJsonFileBytesMax = 4 << 20;

// A regular file of at most `bytes_max` bytes. `name` is what messages call it.
// Errors: NotFound, InvalidArgument.
Result<std::string> read_file(const std::filesystem::path& file, std::string_view name,
                              std::size_t bytes_max);

// Standard JSON only, at most 32 levels deep; of equal keys the last counts.
Result<boost::json::value> parse_json(std::string_view text, std::string_view name);

// A value as a message shows it: "gelu", 12, a list.
std::string describe(const boost::json::value& value);

// One JSON object whose members are asked for by name and checked on the way. Every error is an
// InvalidArgument that names the file, the member, what would be right and what was found. A member
// that is null counts as absent.
class JsonObject {
  public:
    // Errors: NotFound when the file does not exist.
    static Result<JsonObject> read(const std::filesystem::path& folder, std::string_view name);
    // The same, but an absent file is an empty object.
    static Result<JsonObject> read_optional(const std::filesystem::path& folder,
                                            std::string_view name);

    // The first of `names` that is present (models of one family spell a member differently).
    using Names = std::initializer_list<std::string_view>;
    Result<std::size_t> size(Names names, std::size_t least, std::size_t most,
                             std::optional<std::size_t> otherwise = {}) const;
    Result<double> number(Names names, double least, double most, double otherwise) const;
    Result<bool> flag(std::string_view name, bool otherwise) const;
    Result<std::string> text(Names names, std::string_view otherwise) const;

    const boost::json::value* find(std::string_view name) const;
    std::unexpected<Error> wrong(std::string_view member, std::string_view expected,
                                 const boost::json::value& found) const;

  private:
    JsonObject(std::string name, boost::json::object members)
        : name_(std::move(name)), members_(std::move(members)) {}
    const boost::json::value* find_first(Names names, std::string_view* used) const;

    std::string name_;
    boost::json::object members_;
};

}  // namespace hearth::models
