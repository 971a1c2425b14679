#include "fetch/progress.h"

#include <poll.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/encoding.h"
#include "fetch/outcome.h"
#include "fetch/stop.h"

namespace hearth::fetch {
namespace json = boost::json;
namespace {

constexpr std::size_t kShownErrorBytesMax = 1500;  // escaped, at most half a line
constexpr std::chrono::seconds kReaderTime{30};
constexpr int kPollMilliseconds = 100;

}  // namespace

void Progress::status(std::string_view text) {
    write_line(json::serialize(json::object{{"status", text}}), Room::Waited);
}

void Progress::pulling(const models::Digest& digest, std::uint64_t total, std::uint64_t completed) {
    const auto now = Clock::now();
    const bool first = digest_ != digest;
    const bool needed = first || completed >= total;
    if (!needed && now - said_at_ < kPause) return;
    if (!first && completed >= total && completed == said_) return;
    digest_ = digest;
    said_ = completed;
    said_at_ = now;
    write_line(json::serialize(json::object{{"status", "pulling " + digest.short_hex()},
                                            {"digest", digest.text()},
                                            {"total", total},
                                            {"completed", completed}}),
               needed ? Room::Waited : Room::Now);
}

void Progress::failed(const Error& error) {
    const Failure failure = failure_of(error);
    if (failure == Failure::Stopped) {
        write_line(std::string(kStoppedLine, sizeof kStoppedLine - 2), Room::Now);
        return;
    }
    const std::string message = repair_utf8(error.message.substr(0, kShownErrorBytesMax));
    write_line(json::serialize(json::object{{"error", message}, {"code", word_of(failure)}}),
               Room::Waited);
}

bool Progress::reader_gone() {
    pollfd end{.fd = fd_, .events = 0, .revents = 0};
    // A pipe without a reader is POLLERR, a socket POLLHUP.
    if (::poll(&end, 1, 0) > 0 && (end.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) gone_ = true;
    return gone_;
}

// A reader that is slow must not stop the transfer, nor keep a signal from being heard.
bool Progress::has_room(Room room) {
    const auto end = Clock::now() + kReaderTime;
    while (!reader_gone()) {
        pollfd out{.fd = fd_, .events = POLLOUT, .revents = 0};
        const bool waits = room == Room::Waited && !stop_requested();
        if (::poll(&out, 1, waits ? kPollMilliseconds : 0) > 0) return (out.revents & POLLOUT) != 0;
        if (!waits) return false;
        if (Clock::now() > end) gone_ = true;
    }
    return false;
}

void Progress::write_line(std::string line, Room room) {
    line += '\n';
    std::string_view rest = line;
    while (!rest.empty() && has_room(room)) {
        const ssize_t written = ::write(fd_, rest.data(), rest.size());
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            gone_ = true;
            return;
        }
        if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
        // Half a line would spoil the next one.
        if (rest.size() < line.size()) room = Room::Waited;
    }
}

}  // namespace hearth::fetch
