#include "cli/chat_session.h"

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <utility>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/chat_input.h"
#include "cli/images.h"
#include "cli/interrupt.h"
#include "cli/option_values.h"
#include "cli/output.h"

namespace hearth::cli {
namespace json = boost::json;
namespace fs = std::filesystem;
namespace {

constexpr const char* kPrompt = ">>> ";
constexpr const char* kMorePrompt = "... ";

void say_line(std::string_view text) {
    const std::string shown = printable(text);
    std::fprintf(stdout, "%s\n", shown.c_str());
    std::fflush(stdout);
}

// The chat itself: one per `hearth run`. Main thread.
class Session {
  public:
    Session(Connection& connection, Conversation conversation, const SessionOptions& options,
            LineEditor& editor)
        : connection_(connection),
          conversation_(std::move(conversation)),
          options_(options),
          editor_(editor) {}

    Result<void> open() { return use_model(conversation_.settings.model); }
    void run();

  private:
    Result<void> use_model(const std::string& model);
    // False at the end.
    bool take_line(const LineEditor::Read& read);
    bool take_entry(const Entry& entry);
    void forget_entry();
    Result<void> obey(const SlashCommand& command);
    Result<void> set_think(const SlashCommand& command);
    Result<void> add_image(const std::string& path);
    Result<void> load(const std::string& model);
    Result<void> save(const fs::path& file);
    void show() const;
    Result<void> talk(const std::string& text);

    Connection& connection_;
    Conversation conversation_;
    const SessionOptions& options_;
    LineEditor& editor_;
    ModelFacts facts_;
    LineCollector collector_;
    std::string typed_;                // the lines of an entry, for the history
    std::vector<std::string> images_;  // for the next message
    fs::path saved_;                   // may be written again
    bool interrupted_before_ = false;
};

void Session::run() {
    say_line("/help lists the commands, Ctrl-D ends.");
    while (take_line(editor_.read(collector_.open() ? kMorePrompt : kPrompt))) {
    }
}

Result<void> Session::use_model(const std::string& model) {
    TRY(ModelFacts facts, describe_model(connection_, model));
    if (!facts.can("completion")) {
        return fail(Code::InvalidArgument, format("{} does not generate text", model));
    }
    std::fprintf(stdout, "\033[2mloading %s ...\033[0m", printable_line(model).c_str());
    std::fflush(stdout);
    Conversation loaded = conversation_;
    loaded.settings.model = model;
    auto done = load_model(connection_, loaded);
    std::fputs("\r\033[K", stdout);
    if (!done) return done;
    conversation_.settings.model = model;
    facts_ = std::move(facts);
    return {};
}

bool Session::take_line(const LineEditor::Read& read) {
    switch (read.end) {
        case LineEditor::End::Closed: return false;
        case LineEditor::End::Left: forget_entry(); return true;
        case LineEditor::End::Interrupted:
            // The first one of two also stops an answer or leaves a message half typed.
            if (!collector_.open() && std::exchange(interrupted_before_, true)) return false;
            forget_entry();
            say_line("Ctrl-C again or Ctrl-D ends.");
            return true;
        case LineEditor::End::Line: break;
    }
    interrupted_before_ = false;
    typed_ += (typed_.empty() ? "" : "\n") + read.text;
    const auto entry = collector_.feed(read.text);
    if (entry && !*entry) return true;
    editor_.remember(std::exchange(typed_, {}));
    if (entry) return take_entry(**entry);
    report(std::unexpected(entry.error()));
    return true;
}

void Session::forget_entry() {
    collector_.reset();
    typed_.clear();
}

bool Session::take_entry(const Entry& entry) {
    clear_interrupt();
    Result<void> done;
    auto command =
        entry.quoted ? Result<std::optional<SlashCommand>>(std::nullopt) : parse_slash(entry.text);
    if (command && *command) {
        if ((*command)->verb == Verb::Bye) return false;
        done = obey(**command);
    } else {
        done = command ? talk(entry.text) : Result<void>(std::unexpected(command.error()));
    }
    if (!done && done.error().code == Code::Cancelled) {
        interrupted_before_ = true;
    } else {
        report(done);
    }
    return true;
}

Result<void> Session::obey(const SlashCommand& command) {
    ChatSettings& settings = conversation_.settings;
    switch (command.verb) {
        case Verb::Help: std::fputs(std::string(slash_help()).c_str(), stdout); return {};
        case Verb::SetSystem: settings.system = command.value; return {};
        case Verb::SetParameter: return set_option(settings.options, command.name, command.value);
        case Verb::SetThink: return set_think(command);
        case Verb::Show: show(); return {};
        case Verb::Clear:
            conversation_.clear();
            images_.clear();
            return {};
        case Verb::Load: return load(command.value);
        case Verb::Save: return save(resolve_path(command.value));
        case Verb::Image: return add_image(command.value);
        case Verb::Bye: break;
    }
    return {};
}

Result<void> Session::set_think(const SlashCommand& command) {
    if (command.value != "false" && !facts_.can("thinking")) {
        return fail(Code::InvalidArgument,
                    format("{} does not think", conversation_.settings.model));
    }
    TRY(conversation_.settings.think, think_value(command.value));
    return {};
}

Result<void> Session::add_image(const std::string& path) {
    if (!facts_.can("vision")) {
        return fail(Code::InvalidArgument,
                    format("{} does not see images", conversation_.settings.model));
    }
    if (images_.size() == kImagesMax) {
        return fail(Code::InvalidArgument, format("a message has at most {} images", kImagesMax));
    }
    TRY(std::string image, read_image(resolve_path(path)));
    images_.push_back(std::move(image));
    say_line(format("{} goes with the next message.", path));
    return {};
}

// What another model said, and the reasoning it was asked for, are not carried over.
Result<void> Session::load(const std::string& model) {
    TRY_VOID(use_model(model));
    conversation_.clear();
    images_.clear();
    if (!facts_.can("thinking")) conversation_.settings.think = nullptr;
    say_line(format("{} is loaded; the conversation begins anew.", model));
    return {};
}

// A file of somebody else is not written over.
Result<void> Session::save(const fs::path& file) {
    std::FILE* out = std::fopen(file.c_str(), file == saved_ ? "we" : "wxe");
    if (out == nullptr) {
        return fail(Code::InvalidArgument, format("{} cannot be written{}", file.string(),
                                                  fs::exists(file) ? ": it is there already" : ""));
    }
    const std::string text = json::serialize(conversation_.saved()) + "\n";
    const bool written = std::fwrite(text.data(), 1, text.size(), out) == text.size();
    if (std::fclose(out) != 0 || !written) {
        return fail(Code::Internal, format("{} could not be written whole", file.string()));
    }
    saved_ = file;
    say_line(format("{} messages are in {}.", conversation_.size(), file.string()));
    return {};
}

void Session::show() const {
    const ChatSettings& settings = conversation_.settings;
    std::string capabilities;
    for (const std::string& one : facts_.capabilities) {
        capabilities += (capabilities.empty() ? "" : ", ") + one;
    }
    print_table({{"model", settings.model},
                 {"capabilities", capabilities},
                 {"context", format("{} tokens", facts_.context_length)},
                 {"messages", format("{}", conversation_.size())},
                 {"system", settings.system.empty() ? "-" : settings.system},
                 {"parameters", settings.options.empty() ? "-" : json::serialize(settings.options)},
                 {"think", settings.think.is_null() ? "-" : json::serialize(settings.think)}});
}

Result<void> Session::talk(const std::string& text) {
    Illustrated message{.text = text, .images = {}, .names = {}};
    if (facts_.can("vision")) {
        TRY(message, take_images(text));
    }
    for (const std::string& name : message.names) say_line(format("with the image {}", name));
    std::vector<std::string> images = images_;
    images.insert(images.end(), message.images.begin(), message.images.end());
    if (trimmed(message.text).empty() && images.empty()) return {};
    conversation_.say(message.text, images);
    AnswerPrinter printer = standard_printer();
    const auto said = ask(connection_, conversation_, printer);
    if (!said) {
        conversation_.take_back();
        return std::unexpected(said.error());
    }
    images_.clear();
    conversation_.hear(said->text, said->thinking);
    if (said->interrupted) return fail(Code::Cancelled, "interrupted");
    if (options_.verbose) std::fputs(("\n" + print_metrics(said->last)).c_str(), stderr);
    std::fputs("\n", stdout);
    return {};
}

}  // namespace

Result<void> chat_on_terminal(Connection& connection, Conversation conversation,
                              const SessionOptions& options) {
    const InterruptGuard guard;
    TRY(const auto editor, LineEditor::open(options.history));
    Session session(connection, std::move(conversation), options, *editor);
    TRY_VOID(session.open());
    session.run();
    return {};
}

}  // namespace hearth::cli
