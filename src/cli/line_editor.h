#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"

namespace hearth::cli {

// Lines from the terminal with editing, pasted text of several lines included, and a history that
// is kept in a file: at most kEntriesMax entries of kEntryBytesMax, readable by its owner only.
// The terminal is put back after every line. One at a time.
// The user's ~/.editrc may change its keys: editrc(5).
class LineEditor {
  public:
    static constexpr int kEntriesMax = 1000;
    static constexpr std::size_t kEntryBytesMax = 16 << 10;

    // `history`: empty keeps none; one that cannot be read or written is left out. Error:
    // Unavailable where the terminal cannot be used.
    static Result<std::unique_ptr<LineEditor>> open(std::filesystem::path history);
    ~LineEditor();
    LineEditor(const LineEditor&) = delete;
    LineEditor& operator=(const LineEditor&) = delete;

    enum class End {
        Line,
        Left,         // Ctrl-C after something was typed, which is gone
        Interrupted,  // Ctrl-C on an empty line
        Closed,       // Ctrl-D on an empty line, or the terminal's end
    };
    struct Read {
        End end = End::Closed;
        std::string text;  // of a line, without its end
    };
    Read read(const std::string& prompt);

    void remember(const std::string& entry);

  private:
    struct Impl;
    explicit LineEditor(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::cli
