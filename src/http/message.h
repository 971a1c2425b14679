#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

// HTTP/1.1 messages as plain values (RFC 9110, RFC 9112). No library type appears here.
namespace hearth::http {

enum class Method : std::uint8_t { Get, Head, Post, Put, Delete, Options, Patch, Other };

std::string_view to_string(Method method);

// Field names compare without case; order and duplicates are kept.
class Headers {
  public:
    void add(std::string name, std::string value);
    void set(std::string name, std::string value);  // replaces every field of that name
    // The first value, or nullopt.
    std::optional<std::string_view> find(std::string_view name) const;
    const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }
    void clear() { fields_.clear(); }

  private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

// A whole request. `path` is percent-decoded and starts with '/'; `query` is raw, without '?'.
// `body` is complete, de-chunked and gunzipped, at most ServerOptions::body_bytes_max.
struct Request {
    Method method = Method::Get;
    std::string path;
    std::string query;
    Headers headers;
    std::string body;
    std::string peer;  // "127.0.0.1:50312" or "unix"
};

// A whole reply. The server adds Content-Length, Date and Connection; for HEAD it sends no body.
struct Response {
    int status = 200;
    std::string content_type = "application/json";
    Headers headers;
    std::string body;
};

}  // namespace hearth::http
