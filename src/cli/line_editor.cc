#include "cli/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/format.h"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kPasteMax = 1 << 20;             // characters
constexpr std::uintmax_t kHistoryBytesMax = 64 << 20;  // every entry at its longest, and escaped
// Bracketed paste: the terminal puts a mark before and after what is pasted.
constexpr std::string_view kPasteOn = "\033[?2004h";
constexpr std::string_view kPasteOff = "\033[?2004l";
constexpr std::wstring_view kPasteEnd = L"\033[201~";
constexpr wchar_t kCtrlC = 3;

struct KeyBinding {
    const char* key;
    const char* function;
};

// Beside those of emacs(1) that libedit has: what keyboards send for Home, End, Delete and words.
constexpr KeyBinding kKeys[] = {
    {"^C", "hearth-interrupt"},    {"^Z", "hearth-suspend"},
    {"\033[200~", "hearth-paste"}, {"\033[1~", "ed-move-to-beg"},
    {"\033[4~", "ed-move-to-end"}, {"\033[H", "ed-move-to-beg"},
    {"\033[F", "ed-move-to-end"},  {"\033OH", "ed-move-to-beg"},
    {"\033OF", "ed-move-to-end"},  {"\033[3~", "ed-delete-next-char"},
    {"\033[1;5C", "em-next-word"}, {"\033[1;5D", "ed-prev-word"},
    {"^W", "ed-delete-prev-word"}, {"^R", "em-inc-search-prev"},
};

void write_terminal(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

// Text in the locale's encoding; without one of its own that is UTF-8.
void set_up_locale() {
    std::setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct LineEditor::Impl {
    EditLine* edit = nullptr;
    History* history = nullptr;
    HistEvent event{};
    fs::path file;
    std::string prompt;
    bool interrupted = false;
    bool left_text = false;  // the interrupted line was not empty

    ~Impl() {
        if (edit != nullptr) el_end(edit);
        if (history != nullptr) history_end(history);
    }

    static Impl& of(EditLine* edit) {
        void* self = nullptr;
        el_get(edit, EL_CLIENTDATA, &self);
        return *static_cast<Impl*>(self);
    }
    static char* show_prompt(EditLine* edit) { return of(edit).prompt.data(); }

    static unsigned char interrupt(EditLine* edit, int) {
        const LineInfo* line = el_line(edit);
        of(edit).interrupted = true;
        of(edit).left_text = line->lastchar != line->buffer;
        return CC_EOF;
    }
    // The key does not raise the signal while a line is edited.
    static unsigned char suspend(EditLine* edit, int) {
        el_set(edit, EL_PREP_TERM, 0);
        write_terminal(kPasteOff);
        std::raise(SIGTSTP);
        write_terminal(kPasteOn);
        el_set(edit, EL_PREP_TERM, 1);
        return CC_REDISPLAY;
    }
    static unsigned char paste(EditLine* edit, int);

    void set_up_keys();
    void load_history();
    void save_history();
};

// Up to the mark at its end, or Ctrl-C should that never come. One that is too long is left out
// whole. Lines end as a terminal sends them.
unsigned char LineEditor::Impl::paste(EditLine* edit, int) {
    std::wstring text;
    std::size_t matched = 0;
    while (matched < kPasteEnd.size()) {
        wchar_t c = 0;
        if (el_wgetc(edit, &c) != 1) return CC_EOF;
        if (c == kCtrlC) return CC_REFRESH;
        if (c != kPasteEnd[matched]) matched = 0;
        if (c == kPasteEnd[matched]) ++matched;
        if (c == L'\n' && text.ends_with(L'\r')) continue;
        if (text.size() <= kPasteMax) text += c;
    }
    if (text.size() > kPasteMax) return CC_ERROR;
    text.resize(text.size() - kPasteEnd.size());
    std::ranges::replace(text, L'\r', L'\n');
    if (!text.empty() && el_winsertstr(edit, text.c_str()) != 0) return CC_ERROR;
    return CC_REFRESH;
}

void LineEditor::Impl::set_up_keys() {
    // The wide form keeps the names as they are; the other one leaks copies.
    el_wset(edit, EL_ADDFN, L"hearth-interrupt", L"Leaves the line", interrupt);
    el_wset(edit, EL_ADDFN, L"hearth-suspend", L"Suspends the program", suspend);
    el_wset(edit, EL_ADDFN, L"hearth-paste", L"Inserts pasted text", paste);
    el_set(edit, EL_SETTY, "-d", "-isig", nullptr);
    for (const auto& [key, function] : kKeys) el_set(edit, EL_BIND, key, function, nullptr);
}

void LineEditor::Impl::load_history() {
    if (file.empty()) return;
    std::error_code failed;
    const auto size = fs::file_size(file, failed);
    if (failed || size > kHistoryBytesMax) return;
    ::history(history, &event, H_LOAD, file.c_str());
}

// Beside the file and then in its place: a program that is killed leaves the old one whole.
void LineEditor::Impl::save_history() {
    if (file.empty()) return;
    std::error_code ignored;
    fs::create_directories(file.parent_path(), ignored);
    const fs::path fresh = format("{}.{}", file.string(), ::getpid());
    if (::history(history, &event, H_SAVE, fresh.c_str()) < 0) return;
    fs::rename(fresh, file, ignored);
    if (ignored) fs::remove(fresh, ignored);
}

Result<std::unique_ptr<LineEditor>> LineEditor::open(fs::path history) {
    set_up_locale();
    auto impl = std::make_unique<Impl>();
    impl->file = std::move(history);
    impl->edit = el_init("hearth", stdin, stdout, stderr);
    impl->history = history_init();
    if (impl->edit == nullptr || impl->history == nullptr) {
        return fail(Code::Unavailable, "the terminal cannot be used for editing lines");
    }
    el_set(impl->edit, EL_CLIENTDATA, impl.get());
    el_set(impl->edit, EL_PROMPT, Impl::show_prompt);
    el_set(impl->edit, EL_EDITOR, "emacs");
    el_set(impl->edit, EL_SIGNAL, 1);
    el_set(impl->edit, EL_HIST, ::history, impl->history);
    ::history(impl->history, &impl->event, H_SETSIZE, kEntriesMax);
    ::history(impl->history, &impl->event, H_SETUNIQUE, 1);
    el_source(impl->edit, nullptr);
    impl->set_up_keys();
    impl->load_history();
    return std::unique_ptr<LineEditor>(new LineEditor(std::move(impl)));
}

LineEditor::LineEditor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LineEditor::~LineEditor() = default;

LineEditor::Read LineEditor::read(const std::string& prompt) {
    impl_->prompt = prompt;
    impl_->interrupted = false;
    // Before the prompt is seen: libedit itself would do it after that, and lose a key in between.
    el_set(impl_->edit, EL_PREP_TERM, 1);
    write_terminal(kPasteOn);
    int count = 0;
    const char* line = el_gets(impl_->edit, &count);
    write_terminal(kPasteOff);
    if (line == nullptr || count <= 0) {
        write_terminal("\n");
        if (!impl_->interrupted) return {.end = End::Closed, .text = {}};
        return {.end = impl_->left_text ? End::Left : End::Interrupted, .text = {}};
    }
    Read read{.end = End::Line, .text = std::string(line, static_cast<std::size_t>(count))};
    if (read.text.ends_with('\n')) read.text.pop_back();
    return read;
}

void LineEditor::remember(const std::string& entry) {
    if (entry.empty() || entry.size() > kEntryBytesMax || entry.contains('\0')) return;
    ::history(impl_->history, &impl_->event, H_ENTER, entry.c_str());
    impl_->save_history();
}

}  // namespace hearth::cli
