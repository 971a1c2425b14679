#include "models/json_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/format.h"
#include "base/unique_fd.h"

namespace hearth::models {
namespace json = boost::json;
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kShownBytesMax = 60;

Result<std::size_t> regular_file_bytes(int fd, std::string_view name, std::size_t bytes_max) {
    struct stat status{};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(Code::InvalidArgument, format("{} is not a regular file", name));
    }
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    if (bytes > bytes_max) {
        return fail(Code::InvalidArgument,
                    format("{} is {} bytes long; at most {} are read", name, bytes, bytes_max));
    }
    return static_cast<std::size_t>(bytes);
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& file, std::string_view name,
                              std::size_t bytes_max) {
    // O_NONBLOCK: a FIFO in a model folder must not hang the reader.
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        const int reason = errno;
        const bool absent = reason == ENOENT || reason == ENOTDIR;
        return fail(absent ? Code::NotFound : Code::InvalidArgument,
                    absent ? format("{} is missing", name)
                           : format("{} cannot be opened: {}", name, std::strerror(reason)));
    }
    TRY(const std::size_t bytes, regular_file_bytes(fd.value(), name, bytes_max));
    std::string text(bytes, '\0');
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t got = ::read(fd.value(), text.data() + done, bytes - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return fail(Code::InvalidArgument,
                        format("{} ended after {} of {} bytes", name, done, bytes));
        }
        done += static_cast<std::size_t>(got);
    }
    return text;
}

Result<json::value> parse_json(std::string_view text, std::string_view name) {
    json::parse_options options;
    options.max_depth = kDepthMax;
    options.numbers = json::number_precision::precise;
    json::stream_parser parser({}, options);
    boost::system::error_code error;
    const std::size_t used = parser.write_some(text.data(), text.size(), error);
    if (!error && used < text.size()) error = json::error::extra_data;
    if (!error) parser.finish(error);
    if (error) {
        return fail(Code::InvalidArgument,
                    format("{} is not valid JSON: {} at byte {}", name, error.message(), used));
    }
    return parser.release();
}

std::string describe(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: return "null";
        case json::kind::array: return "a list";
        case json::kind::object: return "an object";
        case json::kind::double_: return format("{}", value.get_double());
        default: break;
    }
    std::string shown = json::serialize(value);
    if (shown.size() > kShownBytesMax) {
        std::size_t cut = kShownBytesMax;
        while (cut > 0 && (static_cast<unsigned char>(shown[cut]) & 0xC0) == 0x80) --cut;
        shown.resize(cut);
        shown += "...";
    }
    return shown;
}

Result<JsonObject> JsonObject::read(const std::filesystem::path& folder, std::string_view name) {
    TRY(const std::string text, read_file(folder / name, name, kJsonFileBytesMax));
    TRY(json::value value, parse_json(text, name));
    if (!value.is_object()) {
        return fail(Code::InvalidArgument,
                    format("{} must hold a JSON object, not {}", name, describe(value)));
    }
    return JsonObject(std::string(name), std::move(value.as_object()));
}

Result<JsonObject> JsonObject::read_optional(const std::filesystem::path& folder,
                                             std::string_view name) {
    auto object = read(folder, name);
    if (!object && object.error().code == Code::NotFound) return JsonObject(std::string(name), {});
    return object;
}

const json::value* JsonObject::find(std::string_view name) const {
    const json::value* value = members_.if_contains(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

const json::value* JsonObject::find_first(Names names, std::string_view* used) const {
    for (const std::string_view name : names) {
        *used = name;
        if (const json::value* value = find(name)) return value;
    }
    *used = *names.begin();
    return nullptr;
}

std::unexpected<Error> JsonObject::wrong(std::string_view member, std::string_view expected,
                                         const json::value& found) const {
    return fail(Code::InvalidArgument,
                format("{}: {} must be {}, not {}", name_, member, expected, describe(found)));
}

Result<std::size_t> JsonObject::size(Names names, std::size_t least, std::size_t most,
                                     std::optional<std::size_t> otherwise) const {
    std::string_view name;
    const json::value* value = find_first(names, &name);
    if (value == nullptr) {
        if (otherwise) return *otherwise;
        return fail(Code::InvalidArgument, format("{} has no {}", name_, name));
    }
    boost::system::error_code error;
    const auto number = value->to_number<std::uint64_t>(error);
    if (value->is_bool() || error || number < least || number > most) {
        return wrong(name, format("a whole number from {} to {}", least, most), *value);
    }
    return static_cast<std::size_t>(number);
}

Result<double> JsonObject::number(Names names, double least, double most, double otherwise) const {
    std::string_view name;
    const json::value* value = find_first(names, &name);
    if (value == nullptr) return otherwise;
    boost::system::error_code error;
    const auto number = value->to_number<double>(error);
    if (error || !std::isfinite(number) || number < least || number > most) {
        return wrong(name, format("a number from {} to {}", least, most), *value);
    }
    return number;
}

Result<bool> JsonObject::flag(std::string_view name, bool otherwise) const {
    const json::value* value = find(name);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) return wrong(name, "true or false", *value);
    return value->get_bool();
}

Result<std::string> JsonObject::text(Names names, std::string_view otherwise) const {
    std::string_view name;
    const json::value* value = find_first(names, &name);
    if (value == nullptr) return std::string(otherwise);
    if (!value->is_string()) return wrong(name, "a string", *value);
    return std::string(value->get_string());
}

}  // namespace hearth::models
