#include "backends/remote/splice.h"

#include <boost/json/serialize.hpp>

#include "base/format.h"

namespace hearth::remote {
namespace {

// Walks over text that is known to be JSON.
class Cursor {
  public:
    explicit Cursor(std::string_view text) : text_(text) {}

    std::size_t at() const { return at_; }
    char next() {
        at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    void step() { ++at_; }
    // With its quotes. REQUIRES next() == '"'
    std::string_view string() {
        const std::size_t begin = at_;
        do {
            at_ = std::min(text_.find('"', at_ + 1), text_.size());
        } while (at_ < text_.size() && escapes_before(at_) % 2 == 1);
        ++at_;
        return text_.substr(begin, at_ - begin);
    }
    void value() {
        std::size_t depth = 0;
        do {
            const char c = next();
            if (c == '"') {
                string();
            } else if (c == '{' || c == '[') {
                ++depth;
                step();
            } else if (c == '}' || c == ']') {
                --depth;
                step();
            } else if (c == ',' || c == ':') {
                step();
            } else {
                at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
            }
        } while (depth > 0 && at_ < text_.size());
    }

  private:
    std::size_t escapes_before(std::size_t at) const {
        std::size_t count = 0;
        while (count < at && text_[at - count - 1] == '\\') ++count;
        return count;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace

std::string with_model(std::string_view body, std::string_view model) {
    return with_member(body, "model", boost::json::serialize(boost::json::string(model)));
}

std::string with_member(std::string_view body, std::string_view name, std::string_view value) {
    const std::string quoted = format("\"{}\"", name);
    std::string out;
    out.reserve(body.size() + quoted.size() + value.size() + 2);
    Cursor cursor(body);
    if (cursor.next() != '{') return std::string(body);
    cursor.step();
    std::size_t copied = 0;
    bool replaced = false;
    bool empty = true;
    while (cursor.next() == '"') {
        empty = false;
        const bool is_it = cursor.string() == quoted;
        cursor.next();  // the colon
        cursor.step();
        cursor.next();
        const std::size_t begin = cursor.at();
        cursor.value();
        if (is_it) {
            out.append(body.substr(copied, begin - copied)).append(value);
            copied = cursor.at();
            replaced = true;
        }
        if (cursor.next() == ',') cursor.step();
    }
    out.append(body.substr(copied, cursor.at() - copied));
    // Of equal members the last counts, so that one written with escapes loses.
    if (!replaced) out.append(empty ? "" : ",").append(quoted).append(":").append(value);
    return out.append(body.substr(cursor.at()));
}

}  // namespace hearth::remote
