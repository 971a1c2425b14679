#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inference/embed.h"

// What gateway and worker say to each other: HTTP over a Unix socket, bulk data as little-endian
// binary. Pure functions; bytes of the peer are checked. Errors of every decode_: BadUpstream.
//
//   POST /embed   body: call        200 application/octet-stream: answer; else an error object
//   GET /health   heartbeat         GET /info    the model and how it runs
//
// Call:    u8 version, u8[3] 0, u32 time left in ms, u8 overflow, u8 flags (1: normalize), u16
// prompt
//          bytes, u32 dimensions (0: the model's own), u64 tokens_max (0: no cap), prompt, u32
//          inputs, then per input u8 kind (0 text, 1 ids), u32 bytes or ids, the bytes or i32 ids.
// Answer:  u8 version, u8[3] 0, u32 texts, u32 dimension, u64 queue ns, u64 compute ns, u32 tokens
// per text,
//          float32 [texts, dimension] row-major.
namespace hearth::worker {

inline constexpr std::uint8_t kProtocolVersion = 1;
inline constexpr std::size_t kInputsMax = 2048;
inline constexpr std::size_t kPromptNameBytesMax = 256;
inline constexpr std::size_t kDimensionMax = 65'536;
inline constexpr std::string_view kBinary = "application/octet-stream";

// Of the request only what the worker needs travels: neither `model` nor `keep_alive`.
struct Call {
    inference::EmbedRequest request;
    std::chrono::milliseconds time_left{0};
};

// REQUIRES at most kInputsMax inputs and kPromptNameBytesMax of prompt name.
std::string encode_call(const Call& call);
Result<Call> decode_call(std::string_view bytes);
// Writes the time left into an encoded call, so that a call can wait between encoding and sending.
void set_time_left(std::string& call, std::chrono::milliseconds time_left);
// The part of an encoded call that does not depend on when it was sent.
std::string_view content_of(std::string_view call);

// Where the parts of an answer lie: made before the vectors exist, so that each row is written in
// place.
struct AnswerLayout {
    std::size_t texts = 0;
    std::size_t dimension = 0;
    std::size_t tokens_offset() const { return 28; }
    std::size_t vectors_offset() const { return tokens_offset() + 4 * texts; }
    std::size_t bytes() const { return vectors_offset() + 4 * texts * dimension; }
};
std::string make_answer(const AnswerLayout& layout);
void set_answer_times(std::string& answer, std::chrono::nanoseconds queue,
                      std::chrono::nanoseconds compute);
void set_answer_tokens(std::string& answer, std::size_t text, std::uint32_t tokens);
void set_answer_row(std::string& answer, const AnswerLayout& layout, std::size_t text,
                    std::span<const float> row);
// Nothing when both are the same text.
void copy_answer_row(std::string& answer, const AnswerLayout& layout, std::size_t from,
                     std::size_t to);
Result<inference::EmbedReply> decode_answer(std::string_view bytes);

// {"code":"...","message":"...","reason":"...","param":"...","retry_after_ms":0}; absent when
// empty.
std::string encode_error(const Error& error);
Result<Error> decode_error(std::string_view json);
// The HTTP status an error travels with; the code itself is in the body.
int status_of(Code code);

// How the worker is. `running` is how long the longest running task has run, 0 when idle.
struct Heartbeat {
    std::chrono::milliseconds running{0};
    std::uint64_t queued_texts = 0;
    std::uint64_t queued_tokens = 0;
    std::uint64_t calls = 0;  // in the worker now
    std::uint64_t texts_total = 0;
    std::uint64_t tokens_total = 0;
    std::uint64_t batches_total = 0;
    bool operator==(const Heartbeat&) const = default;
};
std::string encode_heartbeat(const Heartbeat& heartbeat);
Result<Heartbeat> decode_heartbeat(std::string_view json);

struct WorkerInfo {
    std::string family;
    std::string precision;
    std::uint64_t dimension = 0;
    std::uint64_t tokens_max = 0;
    std::uint64_t sessions = 0;
    std::uint64_t threads = 0;
    std::uint64_t batch_tokens_max = 0;
    bool operator==(const WorkerInfo&) const = default;
};
std::string encode_info(const WorkerInfo& info);
Result<WorkerInfo> decode_info(std::string_view json);

}  // namespace hearth::worker
