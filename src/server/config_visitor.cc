#include "server/config_visitor.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <set>

#include "base/format.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTimeMax = std::chrono::hours(24 * 365);

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<milliseconds> parse_time(std::string_view text) {
    const std::size_t digits = text.find_first_not_of("0123456789");
    const auto number = parse_number(text.substr(0, digits));
    if (!number || *number > std::uint64_t(kTimeMax.count())) return std::nullopt;
    const std::string_view unit =
        digits == std::string_view::npos ? std::string_view() : text.substr(digits);
    std::uint64_t scale = 0;
    if (unit == "ms" || (unit.empty() && *number == 0)) scale = 1;
    if (unit == "s") scale = 1'000;
    if (unit == "m") scale = 60'000;
    if (unit == "h") scale = 3'600'000;
    if (scale == 0 || *number * scale > std::uint64_t(kTimeMax.count())) return std::nullopt;
    return milliseconds(*number * scale);
}

std::string print_time(milliseconds time) {
    const auto count = time.count();
    if (count != 0 && count % 60'000 == 0) return format("{}m", count / 60'000);
    if (count != 0 && count % 1'000 == 0) return format("{}s", count / 1'000);
    return format("{}ms", count);
}

std::string upper(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::toupper(c); });
    return out;
}

// One value with the place it came from, for errors.
struct Value {
    std::string place;  // "hearth.yaml line 3: server.listen"
    std::vector<std::string> items;
    bool is_list = false;
};

class Reader final : public ConfigVisitor {
  public:
    Reader(std::string_view name, const YAML::Node& root, const Environment& environment)
        : name_(name), root_(root), environment_(environment) {}

    void section(std::string_view name, const std::function<void()>& keys) override {
        section_ = name;
        sections_.insert(std::string(name));
        // Copied, not assigned: yaml-cpp forbids assigning the node of a missing key.
        if (root_.IsMap()) {
            node_.emplace(static_cast<const YAML::Node&>(root_)[section_]);
        } else {
            node_.emplace(YAML::NodeType::Undefined);
        }
        if (node_->IsDefined() && !node_->IsNull() && !node_->IsMap()) {
            refuse(
                format("{} line {}: {} must be a section of keys", name_, line(*node_), section_));
            return;
        }
        known_.clear();
        keys();
        refuse_unknown(*node_, known_, section_ + ".");
    }

    void text(std::string_view key, std::string_view, std::string& value,
              const Choices& choices) override {
        const auto found = scalar(key);
        if (!found) return;
        if (!choices.empty() && std::ranges::find(choices, found->items[0]) == choices.end()) {
            std::string allowed;
            for (const auto choice : choices)
                allowed += (allowed.empty() ? "" : ", ") + std::string(choice);
            refuse(
                format("{} must be one of {}, not '{}'", found->place, allowed, found->items[0]));
            return;
        }
        value = found->items[0];
    }

    void list(std::string_view key, std::string_view, std::vector<std::string>& value) override {
        if (const auto found = find(key)) value = found->items;
    }

    void size(std::string_view key, std::string_view, std::size_t& value, std::size_t least,
              std::size_t most) override {
        const auto found = scalar(key);
        if (!found) return;
        const auto number = parse_number(found->items[0]);
        if (!number || *number < least || *number > most) {
            refuse(format("{} must be a whole number from {} to {}, not '{}'", found->place, least,
                          most, found->items[0]));
            return;
        }
        value = *number;
    }

    void time(std::string_view key, std::string_view, milliseconds& value) override {
        const auto found = scalar(key);
        if (!found) return;
        const auto parsed = parse_time(found->items[0]);
        if (!parsed) {
            refuse(format("{} must be a time such as 500ms, 30s, 5m or 1h, not '{}'", found->place,
                          found->items[0]));
            return;
        }
        value = *parsed;
    }

    void flag(std::string_view key, std::string_view, bool& value) override {
        const auto found = scalar(key);
        if (!found) return;
        if (found->items[0] != "true" && found->items[0] != "false") {
            refuse(format("{} must be true or false, not '{}'", found->place, found->items[0]));
            return;
        }
        value = found->items[0] == "true";
    }

    Result<void> finish() {
        if (root_.IsDefined() && !root_.IsNull() && !root_.IsMap()) {
            refuse(format("{}: the top level must be sections of keys", name_));
        }
        refuse_unknown(root_, sections_, "");
        refuse_unknown_variables();
        if (error_.empty()) return {};
        return fail(Code::InvalidArgument, error_);
    }

  private:
    static int line(const YAML::Node& node) { return node.Mark().line + 1; }

    void refuse(std::string message) {
        if (error_.empty()) error_ = std::move(message);
    }

    void refuse_unknown(const YAML::Node& map, const std::set<std::string>& known,
                        const std::string& prefix) {
        if (!map.IsDefined() || !map.IsMap()) return;
        for (const auto& entry : map) {
            const auto key = entry.first.as<std::string>("");
            if (known.contains(key)) continue;
            refuse(format("{} line {}: unknown key {}{}", name_, line(entry.first), prefix, key));
        }
    }

    void refuse_unknown_variables() {
        for (const auto& [variable, value] : environment_) {
            if (variable.find("__") == std::string::npos || variables_.contains(variable)) continue;
            refuse(format("environment: unknown key {}", variable));
        }
    }

    std::optional<Value> find(std::string_view key) {
        known_.emplace(key);
        const std::string variable = "HEARTH_" + upper(section_) + "__" + upper(key);
        variables_.insert(variable);
        if (const auto set = environment_.find(variable); set != environment_.end()) {
            return Value{.place = "environment: " + variable, .items = split(set->second)};
        }
        if (!node_->IsDefined() || !node_->IsMap()) return std::nullopt;
        const YAML::Node node = static_cast<const YAML::Node&>(*node_)[std::string(key)];
        if (!node.IsDefined() || node.IsNull()) return std::nullopt;
        Value value{.place = format("{} line {}: {}.{}", name_, line(node), section_, key)};
        if (node.IsScalar()) value.items = {node.Scalar()};
        value.is_list = node.IsSequence();
        if (node.IsSequence()) {
            for (const auto& item : node) value.items.push_back(item.as<std::string>(""));
        }
        if (node.IsMap()) refuse(value.place + " must be a value, not a section");
        return value;
    }

    std::optional<Value> scalar(std::string_view key) {
        auto value = find(key);
        if (value && (value->is_list || value->items.size() != 1)) {
            refuse(value->place + " must be one value");
            return std::nullopt;
        }
        return value;
    }

    // A variable holds a list separated by commas.
    static std::vector<std::string> split(const std::string& text) {
        std::vector<std::string> items;
        for (std::size_t begin = 0; begin <= text.size();) {
            const std::size_t comma = std::min(text.find(',', begin), text.size());
            items.push_back(text.substr(begin, comma - begin));
            begin = comma + 1;
        }
        return items;
    }

    std::string name_;
    YAML::Node root_;
    const Environment& environment_;
    std::string section_;
    std::optional<YAML::Node> node_;
    std::set<std::string> sections_;
    std::set<std::string> known_;
    std::set<std::string> variables_;
    std::string error_;
};

class Describer final : public ConfigVisitor {
  public:
    void section(std::string_view name, const std::function<void()>& keys) override {
        out_ += format("\n## {}\n\n| key | default | meaning |\n| --- | --- | --- |\n", name);
        keys();
    }
    void text(std::string_view key, std::string_view about, std::string& value,
              const Choices& choices) override {
        std::string meaning(about);
        for (const auto choice : choices)
            meaning += format("{}`{}`", choice == choices[0] ? ": " : ", ", choice);
        row(key, value.empty() ? "" : format("`{}`", value), meaning);
    }
    void list(std::string_view key, std::string_view about,
              std::vector<std::string>& value) override {
        std::string items;
        for (const auto& item : value) items += (items.empty() ? "" : ", ") + item;
        row(key, items.empty() ? "" : format("`[{}]`", items), about);
    }
    void size(std::string_view key, std::string_view about, std::size_t& value, std::size_t least,
              std::size_t most) override {
        row(key, format("`{}`", value), format("{} ({} to {})", about, least, most));
    }
    void time(std::string_view key, std::string_view about, milliseconds& value) override {
        row(key, format("`{}`", print_time(value)), about);
    }
    void flag(std::string_view key, std::string_view about, bool& value) override {
        row(key, value ? "`true`" : "`false`", about);
    }
    std::string take() { return std::move(out_); }

  private:
    void row(std::string_view key, std::string_view value, std::string_view about) {
        out_ += format("| `{}` | {} | {} |\n", key, value, about);
    }
    std::string out_;
};

}  // namespace

Result<void> read_config(std::string_view name, std::string_view text,
                         const Environment& environment, const ConfigWalk& walk) {
    YAML::Node root;
    // yaml-cpp reports malformed text by exception; it stops here.
    try {
        root = YAML::Load(std::string(text));
    } catch (const YAML::Exception& error) {
        return fail(Code::InvalidArgument,
                    format("{} line {}: {}", name, error.mark.line + 1, error.msg));
    }
    Reader reader(name, root, environment);
    walk(reader);
    return reader.finish();
}

std::string describe_config(const ConfigWalk& walk) {
    Describer describer;
    walk(describer);
    return describer.take();
}

}  // namespace hearth::server
