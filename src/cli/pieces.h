#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::cli {

// A function-sized part of a source file.
struct Piece {
    std::filesystem::path file;
    std::size_t line = 1;  // of its first line, from 1
    std::string text;
};

struct PiecesOptions {
    std::size_t lines_max = 60;
    std::size_t lines_min = 3;
    std::size_t bytes_max = 4096;
    std::size_t file_bytes_max = 1 << 20;
    std::size_t files_max = 20'000;
};

// Cuts `text` where a new top-level construct begins: a line without indentation after a blank line
// or a closing brace. Longer parts are cut at lines_max, shorter ones joined with what follows;
// lines that only include or import are left out, unless the file has nothing else.
std::vector<Piece> cut_pieces(const std::filesystem::path& file, std::string_view text,
                              const PiecesOptions& options);

// The pieces of every text file below `folder`, in path order. Hidden folders, build output,
// dependencies, binary and oversized files are left out; links are not followed.
std::vector<Piece> collect_pieces(const std::filesystem::path& folder,
                                  const PiecesOptions& options);

}  // namespace hearth::cli
