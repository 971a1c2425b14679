#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "http/message.h"

// The head of a message (start line and fields), read strictly by RFC 9112: CRLF only, no folded
// lines, no space before a colon, no control characters. Pure functions of bytes; no sockets.
namespace hearth::http {

// Why a message is refused: the status to answer with and a sentence for people.
struct Refusal {
    int status = 400;
    std::string_view message;
};

enum class ParseStep : std::uint8_t { More, Done, Bad };

// What the fields say about the body and the connection.
struct Framing {
    std::optional<std::uint64_t> content_length;
    bool has_transfer_coding = false;
    bool chunked = false;
    bool close = false;
    bool keep_alive = false;
    bool expect_continue = false;
    bool gzip = false;
    std::uint8_t hosts = 0;
};

// Finds the lines of a head in bytes that arrive in pieces; every byte is looked at once. parse()
// is given all bytes since the start of the message each time.
class HeadParser {
  public:
    explicit HeadParser(std::size_t bytes_max) : bytes_max_(bytes_max) {}
    virtual ~HeadParser() = default;

    ParseStep parse(std::string_view bytes);
    // Bytes of the whole head with its empty line; valid once Done.
    std::size_t size() const { return line_begin_; }
    const Framing& framing() const { return framing_; }
    const Refusal& refusal() const { return refusal_; }
    // HTTP/1.0 is 0, HTTP/1.1 and any later 1.x is 1.
    int minor_version() const { return minor_version_; }
    const std::vector<Headers::Slice>& fields() const { return fields_; }

  protected:
    virtual ParseStep start_line(std::string_view line) = 0;
    virtual ParseStep finish() = 0;
    void reset();
    ParseStep refuse(int status, std::string_view message);
    ParseStep version(std::string_view text);
    std::size_t line_begin() const { return line_begin_; }

  private:
    ParseStep line(std::string_view bytes, std::size_t end);
    ParseStep field(std::string_view bytes, std::size_t begin, std::size_t end);
    ParseStep known_field(std::string_view name, std::string_view value);
    ParseStep content_length(std::string_view value);
    ParseStep transfer_encoding(std::string_view value);
    ParseStep content_encoding(std::string_view value);
    ParseStep host(std::string_view value);
    void connection(std::string_view value);

    std::size_t bytes_max_;
    std::size_t line_begin_ = 0;
    std::size_t scanned_ = 0;
    bool started_ = false;
    int minor_version_ = 1;
    Framing framing_;
    Refusal refusal_;
    std::vector<Headers::Slice> fields_;

  protected:
    bool is_request_ = true;
};

// Refuses with 400, 414, 415, 417, 431, 501 or 505.
class RequestHeadParser final : public HeadParser {
  public:
    explicit RequestHeadParser(std::size_t bytes_max) : HeadParser(bytes_max) {}

    void restart();
    bool persistent() const;
    Method method() const { return method_; }
    // Fills all of `request` but body and peer from the bytes parsed. False: bad escape in the
    // path.
    bool fill(std::string_view bytes, Request& request) const;

  private:
    ParseStep start_line(std::string_view line) override;
    ParseStep target(std::string_view target, std::size_t offset);
    ParseStep finish() override;

    Method method_ = Method::Get;
    std::uint32_t method_size_ = 0;
    std::uint32_t method_begin_ = 0;
    std::uint32_t target_begin_ = 0;
    std::uint32_t target_size_ = 0;
    std::uint32_t path_begin_ = 0;  // within the target
};

class ReplyHeadParser final : public HeadParser {
  public:
    explicit ReplyHeadParser(std::size_t bytes_max) : HeadParser(bytes_max) { is_request_ = false; }

    void restart();
    bool persistent() const;
    int status() const { return status_; }

  private:
    ParseStep start_line(std::string_view line) override;
    ParseStep finish() override;

    int status_ = 0;
};

// `text` with %XX replaced. nullopt: a bad escape, or one that means NUL.
std::optional<std::string> decode_percent(std::string_view text);

// The first value of that name in "a=1&b=2", decoded. Empty: none, or a bad escape.
std::string query_value(std::string_view query, std::string_view name);

}  // namespace hearth::http
