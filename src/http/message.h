#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

// HTTP/1.1 messages as plain values (RFC 9110, RFC 9112). No library type appears here.
namespace hearth::http {

enum class Method : std::uint8_t { Get, Head, Post, Put, Delete, Options, Patch, Other };

std::string_view to_string(Method method);

// The standard reason of a status code; "Unknown" for one not registered.
std::string_view reason_phrase(int status);

// True when both are equal without regard to the case of ASCII letters.
bool equal_ignoring_case(std::string_view a, std::string_view b);

// Field names compare without case; order and duplicates are kept. All text lies in one string, so
// that filling an object again costs no allocation.
class Headers {
  public:
    using Field = std::pair<std::string_view, std::string_view>;

    // Where one field's name and value lie in a text.
    struct Slice {
        std::uint32_t name_begin = 0;
        std::uint32_t name_size = 0;
        std::uint32_t value_begin = 0;
        std::uint32_t value_size = 0;
    };

    Headers() = default;
    Headers(std::initializer_list<Field> fields);

    void add(std::string_view name, std::string_view value);
    void set(std::string_view name, std::string_view value);  // replaces every field of that name
    // Replaces everything: `slices` point into `text`.
    void assign(std::string_view text, std::span<const Slice> slices);
    // The first value, or nullopt. The view lives until the object changes.
    std::optional<std::string_view> find(std::string_view name) const;
    void clear();

    // A range of (name, value) pairs of views.
    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Field;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = Field;

        Iterator() = default;
        Iterator(const Headers* owner, std::size_t index) : owner_(owner), index_(index) {}
        Field operator*() const { return owner_->field(index_); }
        Iterator& operator++() {
            ++index_;
            return *this;
        }
        Iterator operator++(int) { return Iterator(owner_, index_++); }
        bool operator==(const Iterator&) const = default;

      private:
        const Headers* owner_ = nullptr;
        std::size_t index_ = 0;
    };
    class Range {
      public:
        explicit Range(const Headers* owner) : owner_(owner) {}
        Iterator begin() const { return Iterator(owner_, 0); }
        Iterator end() const { return Iterator(owner_, owner_->slices_.size()); }
        std::size_t size() const { return owner_->slices_.size(); }
        bool empty() const { return owner_->slices_.empty(); }
        Field operator[](std::size_t index) const { return owner_->field(index); }

      private:
        const Headers* owner_;
    };
    Range all() const { return Range(this); }

  private:
    Field field(std::size_t index) const;

    std::string text_;
    std::vector<Slice> slices_;
};

// A whole request. `path` is percent-decoded and starts with '/' (or is "*"); `query` is raw,
// without
// '?'; `target` is what the client sent. `body` is complete, de-chunked and gunzipped, at most
// ServerOptions::body_bytes_max.
struct Request {
    Method method = Method::Get;
    std::string method_name;  // set for Method::Other only
    std::string path;
    std::string query;
    std::string target;
    Headers headers;
    std::string body;
    std::string peer;  // "127.0.0.1:50312" or "unix"
};

// A whole reply. The server adds Content-Length, Date and Connection; for HEAD it sends no body. Of
// `headers` it leaves out these and Transfer-Encoding, except "Connection: close", and whatever is
// no valid field. An empty `content_type` sends none.
struct Response {
    int status = 200;
    std::string content_type = "application/json";
    Headers headers = {};
    std::string body = {};
};

}  // namespace hearth::http
