#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hearth::cli {

inline constexpr std::size_t kImageBytesMax = 20 << 20;
inline constexpr std::size_t kImagesMax = 16;  // of one message

// Where a text names what may be a file with an image.
struct ImagePath {
    std::size_t begin = 0;  // quotes included
    std::size_t end = 0;
    std::string path;  // without quotes and backslashes
};

// Words, or parts between quotes, that end in .png, .jpg, .jpeg or .webp; "\ " is a blank of a
// path, as terminals write a file that is dropped on them. Pure.
std::vector<ImagePath> find_image_paths(std::string_view text);

// What a person writes for a path: quotes, backslashes and "~/" resolved. Pure but for $HOME.
std::filesystem::path resolve_path(std::string_view text);

// A PNG, JPEG or WebP file in base64, as /api/chat takes it. Errors: NotFound, TooLarge,
// InvalidArgument.
Result<std::string> read_image(const std::filesystem::path& file);

struct Illustrated {
    std::string text;  // without the paths
    std::vector<std::string> images;
    std::vector<std::string> names;
};

// The images whose paths stand in `text`. A path that names no file stays part of the text.
// Errors: those of read_image, and InvalidArgument over kImagesMax.
Result<Illustrated> take_images(std::string_view text);

}  // namespace hearth::cli
