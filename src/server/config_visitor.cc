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
        sections_.insert(std::string(name));
        enter(std::string(name), child(root_, name), keys);
    }

    void entries(std::string_view name, std::string_view,
                 const std::function<void(const std::string&)>& keys) override {
        const YAML::Node all = top(name);
        std::map<std::string, YAML::Node> found;
        if (!is_absent(all) && all.IsMap()) {
            for (const auto& entry : all)
                found.emplace(entry.first.as<std::string>(""), entry.second);
        }
        for (const std::string& entry : entries_of_environment(name)) {
            found.try_emplace(entry, YAML::Node(YAML::NodeType::Undefined));
        }
        for (const auto& [entry, node] : found) {
            if (!is_name(entry)) {
                refuse(format("{}: '{}' in {} must be letters, digits, '-' and '_'", name_, entry,
                              name));
                continue;
            }
            enter(format("{}.{}", name, entry), node, [&] { keys(entry); });
        }
    }

    void map(std::string_view name, std::string_view, std::map<std::string, Values>& values,
             const Check& check) override {
        const YAML::Node all = top(name);
        if (is_absent(all) || !all.IsMap()) return;
        for (const auto& entry : all) {
            const auto key = entry.first.as<std::string>("");
            Values& list = values[key];
            if (entry.second.IsScalar()) list = {entry.second.Scalar()};
            if (entry.second.IsSequence()) {
                for (const auto& item : entry.second) list.push_back(item.as<std::string>(""));
            }
            const bool right =
                !key.empty() && !list.empty() && std::ranges::none_of(list, &std::string::empty);
            std::string why = right ? std::string() : "must have a value or a list of values";
            if (right && check != nullptr) why = check(list);
            if (why.empty()) continue;
            refuse(format("{} line {}: {}.{} {}", name_, line(entry.first), name, key, why));
        }
    }

    void refuse_value(std::string_view key, std::string_view why) override {
        if (!wrong_value_.empty()) return;
        if (const auto value = find(key)) {
            wrong_value_ = format("{}: {}", value->place, why);
        } else if (is_absent(*node_)) {
            wrong_value_ = format("environment: {}.{}: {}", section_, key, why);
        } else {
            wrong_value_ = format("{} line {}: {}.{}: {}", name_, line(*node_), section_, key, why);
        }
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
        // A key that is misspelt explains why another is missing.
        if (error_.empty()) error_ = wrong_value_;
        if (error_.empty()) return {};
        return fail(Code::InvalidArgument, error_);
    }

  private:
    // Never assigned to: yaml-cpp forbids it for the node of a missing key.
    static YAML::Node child(const YAML::Node& parent, std::string_view name) {
        if (!parent.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
        return parent[std::string(name)];
    }

    static bool is_name(std::string_view text) {
        return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](unsigned char c) {
            return std::isalnum(c) || c == '-' || c == '_';
        });
    }

    static bool is_absent(const YAML::Node& node) { return !node.IsDefined() || node.IsNull(); }

    // A section of the top level, which must be a map if it is there.
    YAML::Node top(std::string_view name) {
        sections_.insert(std::string(name));
        YAML::Node node = child(root_, name);
        if (!is_absent(node) && !node.IsMap()) {
            refuse(format("{} line {}: {} must be a section of keys", name_, line(node), name));
        }
        return node;
    }

    // HEARTH_BACKENDS__BOX__URL names an entry "box" of "backends".
    std::set<std::string> entries_of_environment(std::string_view name) const {
        const std::string prefix = "HEARTH_" + upper(name) + "__";
        std::set<std::string> found;
        for (const auto& [variable, value] : environment_) {
            if (!variable.starts_with(prefix)) continue;
            const std::size_t end = variable.find("__", prefix.size());
            if (end == std::string::npos) continue;
            std::string entry = variable.substr(prefix.size(), end - prefix.size());
            std::ranges::transform(entry, entry.begin(),
                                   [](unsigned char c) { return std::tolower(c); });
            found.insert(std::move(entry));
        }
        return found;
    }

    void enter(std::string name, const YAML::Node& node, const std::function<void()>& keys) {
        section_ = std::move(name);
        node_.emplace(node);
        if (!is_absent(node) && !node.IsMap()) {
            refuse(format("{} line {}: {} must be a section of keys", name_, line(node), section_));
            return;
        }
        known_.clear();
        keys();
        refuse_unknown(*node_, known_, section_ + ".");
    }

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
        std::string variable = "HEARTH_" + upper(section_);
        if (const std::size_t dot = variable.find('.'); dot != std::string::npos) {
            variable.replace(dot, 1, "__");
        }
        variable += "__" + upper(key);
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
    std::string wrong_value_;
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
    void entries(std::string_view name, std::string_view about,
                 const std::function<void(const std::string&)>& keys) override {
        out_ += format("\n## {}.NAME\n\n{}\n\n| key | default | meaning |\n| --- | --- | --- |\n",
                       name, about);
        keys("NAME");
    }
    void map(std::string_view name, std::string_view about, std::map<std::string, Values>&,
             const Check&) override {
        out_ += format("\n## {}\n\n{}\n", name, about);
    }
    void refuse_value(std::string_view, std::string_view) override {}
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
