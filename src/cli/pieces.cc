#include "cli/pieces.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

#include "base/encoding.h"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::array<std::string_view, 6> kSkippedFolders = {
    "build", "node_modules", "target", "vendor", "dist", "__pycache__"};

std::vector<std::string_view> split_lines(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

bool begins_construct(std::string_view previous, std::string_view line) {
    if (is_blank(line) || line[0] == ' ' || line[0] == '\t' || line[0] == '}') return false;
    return is_blank(previous) || previous[0] == '}';
}

// Lines that only name other files: they say what a file uses, not what it does, and would be near
// to every question about it.
bool is_preamble(std::string_view line) {
    static constexpr std::string_view kStarts[] = {"#include", "#pragma", "import ", "from ",
                                                   "package ", "use ",    "using "};
    return is_blank(line) ||
           std::ranges::any_of(kStarts, [&](auto start) { return line.starts_with(start); });
}

class Cutter {
  public:
    Cutter(const fs::path& file, const PiecesOptions& options) : file_(file), options_(options) {}

    void add(std::string_view line, std::size_t number) {
        if (lines_ == 0) {
            if (is_blank(line)) return;
            first_ = number;
        }
        text_.append(line.substr(0, options_.bytes_max)).push_back('\n');
        ++lines_;
        preamble_ = preamble_ && is_preamble(line);
        if (lines_ >= options_.lines_max || text_.size() >= options_.bytes_max) cut();
    }

    void begin_construct(std::string_view line) {
        if (preamble_) {
            if (!is_preamble(line)) restart();
        } else if (lines_ >= options_.lines_min) {
            cut();
        }
    }

    void cut() {
        while (!text_.empty() && kBlanks.contains(text_.back())) text_.pop_back();
        if (!text_.empty())
            pieces_.push_back({.file = file_, .line = first_, .text = std::move(text_)});
        restart();
    }

    std::vector<Piece> take() {
        cut();
        return std::move(pieces_);
    }

  private:
    void restart() {
        text_.clear();
        lines_ = 0;
        preamble_ = true;
    }

    const fs::path& file_;
    const PiecesOptions& options_;
    std::vector<Piece> pieces_;
    std::string text_;
    std::size_t first_ = 1;
    std::size_t lines_ = 0;
    bool preamble_ = true;  // so far
};

bool is_skipped_folder(const fs::path& folder) {
    const std::string name = folder.filename().string();
    return name.starts_with('.') ||
           std::ranges::find(kSkippedFolders, name) != kSkippedFolders.end();
}

std::vector<fs::path> list_files(const fs::path& folder, const PiecesOptions& options) {
    std::vector<fs::path> files;
    std::error_code failed;
    fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                           failed);
    for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
        std::error_code ignored;
        if (entry->is_directory(ignored) && is_skipped_folder(entry->path())) {
            entry.disable_recursion_pending();
        }
        if (entry->is_symlink(ignored) || !entry->is_regular_file(ignored)) continue;
        if (entry->file_size(ignored) > options.file_bytes_max) continue;
        if (entry->path().filename().string().starts_with('.')) continue;
        files.push_back(entry->path());
        if (files.size() >= options.files_max) break;
    }
    std::ranges::sort(files);
    return files;
}

bool is_text(std::string_view content) {
    return !content.empty() && !content.contains('\0') && is_utf8(content);
}

}  // namespace

std::vector<Piece> cut_pieces(const fs::path& file, std::string_view text,
                              const PiecesOptions& options) {
    Cutter cutter(file, options);
    std::string_view previous;
    std::size_t number = 0;
    for (const std::string_view line : split_lines(text)) {
        if (begins_construct(previous, line)) cutter.begin_construct(line);
        cutter.add(line, ++number);
        previous = line;
    }
    return cutter.take();
}

std::vector<Piece> collect_pieces(const fs::path& folder, const PiecesOptions& options) {
    std::vector<Piece> pieces;
    for (const auto& file : list_files(folder, options)) {
        std::ifstream stream(file, std::ios::binary);
        const std::string content{std::istreambuf_iterator<char>(stream), {}};
        if (!is_text(content)) continue;
        auto cut = cut_pieces(file.lexically_relative(folder), content, options);
        std::ranges::move(cut, std::back_inserter(pieces));
    }
    return pieces;
}

}  // namespace hearth::cli
