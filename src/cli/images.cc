#include "cli/images.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <span>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kOpeners = "([<";
constexpr std::string_view kClosers = ")]>.,;:!?";

bool ends_like_image(std::string_view path) {
    constexpr std::array<std::string_view, 4> kEnds = {".png", ".jpg", ".jpeg", ".webp"};
    constexpr std::size_t kLongest = 5;
    std::string end(path.substr(path.size() - std::min(path.size(), kLongest)));
    for (char& c : end) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return std::ranges::any_of(
        kEnds, [&](auto known) { return path.size() > known.size() && end.ends_with(known); });
}

// The end of the word that begins at `begin`: a backslash makes the next character part of it.
std::size_t word_end(std::string_view text, std::size_t begin) {
    std::size_t i = begin;
    while (i < text.size() && kBlanks.find(text[i]) == std::string_view::npos) {
        i += text[i] == '\\' && i + 1 < text.size() ? 2 : 1;
    }
    return i;
}

std::string without_backslashes(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        out += text[i];
    }
    return out;
}

// The quoted part that begins at `begin`, when it names an image.
std::optional<ImagePath> quoted_path(std::string_view text, std::size_t begin) {
    if (text[begin] != '\'' && text[begin] != '"') return std::nullopt;
    const std::size_t close = text.find(text[begin], begin + 1);
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view inside = text.substr(begin + 1, close - begin - 1);
    if (!ends_like_image(inside) || inside.contains('\n')) return std::nullopt;
    return ImagePath{begin, close + 1, std::string(inside)};
}

std::optional<ImagePath> word_path(std::string_view text, std::size_t begin, std::size_t end) {
    while (begin < end && kOpeners.find(text[begin]) != std::string_view::npos) ++begin;
    while (begin < end && !ends_like_image(text.substr(begin, end - begin)) &&
           kClosers.find(text[end - 1]) != std::string_view::npos) {
        --end;
    }
    const std::string_view word = text.substr(begin, end - begin);
    if (!ends_like_image(word)) return std::nullopt;
    return ImagePath{begin, end, without_backslashes(word)};
}

// The file's beginning, told by the formats' own specifications.
bool is_image(std::string_view bytes) {
    return bytes.starts_with("\x89PNG\r\n\x1a\n") || bytes.starts_with("\xFF\xD8\xFF") ||
           (bytes.starts_with("RIFF") && bytes.substr(0, 12).ends_with("WEBP"));
}

fs::path with_home(std::string path) {
    const char* home = std::getenv("HOME");
    if (!path.starts_with("~/") || home == nullptr) return path;
    return fs::path(home) / path.substr(2);
}

}  // namespace

std::vector<ImagePath> find_image_paths(std::string_view text) {
    std::vector<ImagePath> found;
    std::size_t at = 0;
    while ((at = text.find_first_not_of(kBlanks, at)) != std::string_view::npos) {
        const std::size_t end = word_end(text, at);
        auto path = quoted_path(text, at);
        if (!path) path = word_path(text, at, end);
        at = path ? std::max(path->end, at + 1) : end;
        if (path) found.push_back(*std::move(path));
    }
    return found;
}

fs::path resolve_path(std::string_view text) {
    const bool quoted = text.size() > 1 && (text.front() == '"' || text.front() == '\'') &&
                        text.back() == text.front();
    if (quoted) return with_home(std::string(text.substr(1, text.size() - 2)));
    return with_home(without_backslashes(text));
}

Result<std::string> read_image(const fs::path& file) {
    std::error_code failed;
    if (!fs::is_regular_file(file, failed)) {
        return fail(Code::NotFound, format("{} is not a file", file.string()));
    }
    std::ifstream stream(file, std::ios::binary);
    std::string bytes(kImageBytesMax + 1, '\0');
    stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(stream.gcount()));
    if (stream.bad() || !stream.is_open()) {
        return fail(Code::NotFound, format("{} cannot be read", file.string()));
    }
    if (bytes.size() > kImageBytesMax) {
        return fail(Code::TooLarge, format("{} has over {} bytes", file.string(), kImageBytesMax));
    }
    if (!is_image(bytes)) {
        return fail(Code::InvalidArgument,
                    format("{} is not a PNG, JPEG or WebP image", file.string()));
    }
    return encode_base64(std::as_bytes(std::span(bytes)));
}

Result<Illustrated> take_images(std::string_view text) {
    Illustrated result;
    std::size_t done = 0;
    for (const ImagePath& found : find_image_paths(text)) {
        const fs::path file = with_home(found.path);
        std::error_code failed;
        if (!fs::is_regular_file(file, failed)) continue;
        if (result.images.size() == kImagesMax) {
            return fail(Code::InvalidArgument,
                        format("a message has at most {} images", kImagesMax));
        }
        TRY(std::string image, read_image(file));
        result.images.push_back(std::move(image));
        result.names.push_back(found.path);
        result.text += text.substr(done, found.begin - done);
        done = found.end;
    }
    result.text += text.substr(done);
    // Text without an image stays as it is, unless it is nothing but blanks.
    const std::string_view bare = trimmed(result.text);
    if (bare.empty() || !result.images.empty()) result.text = std::string(bare);
    return result;
}

}  // namespace hearth::cli
