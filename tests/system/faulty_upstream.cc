#include "faulty_upstream.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "base/format.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

using std::chrono::milliseconds;
using testing::RawSocket;

constexpr std::size_t kServers = 96;
constexpr std::size_t kBigEventBytes = 100'000'000;
constexpr milliseconds kTick{100};
// Where all limits are longer.
constexpr milliseconds kBeforeReset{kSanitized ? 1000 : 100};
constexpr milliseconds kTrickle{kSanitized ? 300 : 100};
constexpr milliseconds kPatience{60'000};  // then even a silent server gives up

constexpr std::pair<Fault, std::string_view> kFaultNames[] = {
    {Fault::None, "none"},
    {Fault::Reset, "reset"},
    {Fault::Stall, "stall"},
    {Fault::Half, "half"},
    {Fault::Malformed, "malformed"},
    {Fault::Closed, "closed"},
    {Fault::ErrorIn200, "errorin200"},
    {Fault::Loris, "loris"},
    {Fault::Endless, "endless"},
    {Fault::Silent, "silent"},
    {Fault::Big, "big"},
    {Fault::WrongType, "wrongtype"},
    {Fault::NoHead, "nohead"},
    {Fault::HeadStall, "headstall"},
    {Fault::HeadHalf, "headhalf"},
    {Fault::HeadLoris, "headloris"},
    {Fault::HeadEndless, "headendless"},
    {Fault::HeadMalformed, "headmalformed"},
    {Fault::Status401, "status401"},
    {Fault::Status429, "status429"},
    {Fault::Status500, "status500"},
    {Fault::Status503, "status503"},
    {Fault::Status529, "status529"},
    {Fault::Refuse, "refuse"},
    {Fault::ConnectStall, "connectstall"},
    {Fault::Flood, "flood"},
};

// "stall.3", "status429@7".
struct Script {
    Fault fault = Fault::None;
    std::size_t index = 0;
    std::string retry_after;
};

Script script_of(std::string_view model) {
    Script script;
    const std::size_t end = std::min(model.find_first_of(".@"), model.size());
    const auto fault = find_fault(model.substr(0, end));
    if (!fault) return script;
    script.fault = *fault;
    if (end == model.size()) return script;
    const std::string_view rest = model.substr(end + 1);
    if (model[end] == '@') {
        script.retry_after = rest.substr(0, rest.find('.'));
    } else {
        std::from_chars(rest.data(), rest.data() + rest.size(), script.index);
    }
    return script;
}

int status_of_fault(Fault fault) {
    switch (fault) {
        case Fault::Status401: return 401;
        case Fault::Status429: return 429;
        case Fault::Status500: return 500;
        case Fault::Status503: return 503;
        case Fault::Status529: return 529;
        default: return 0;
    }
}

std::string whole_answer(int status, std::string_view body, std::string_view fields = "",
                         std::string_view type = "application/json") {
    return format(
        "HTTP/1.1 {} X\r\nContent-Type: {}\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        status, type, fields, body.size(), body);
}

void reset_connection(RawSocket& socket) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket.close();
}

std::string read_whole_request(RawSocket& socket) {
    std::string request = socket.read_until("\r\n\r\n", kPatience);
    std::string lower = request;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t at = lower.find("content-length: ");
    if (at != std::string::npos) {
        request += socket.read_exactly(std::stoul(lower.substr(at + 16)), kPatience);
    }
    return request;
}

std::string model_in_request(std::string_view request) {
    boost::system::error_code failed;
    const auto body = boost::json::parse(request.substr(request.find("\r\n\r\n") + 4), failed);
    const auto* object = failed ? nullptr : body.if_object();
    const auto* model = object != nullptr ? object->if_contains("model") : nullptr;
    return model != nullptr && model->is_string() ? std::string(model->get_string())
                                                  : std::string();
}

}  // namespace

std::string_view name_of(Fault fault) {
    return std::ranges::find(kFaultNames, fault, &std::pair<Fault, std::string_view>::first)
        ->second;
}

std::optional<Fault> find_fault(std::string_view name) {
    for (const auto& [fault, its_name] : kFaultNames) {
        if (its_name == name) return fault;
    }
    return std::nullopt;
}

FaultyUpstream::FaultyUpstream() {
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof name;
    ::bind(listener_.value(), reinterpret_cast<sockaddr*>(&name), size);
    ::listen(listener_.value(), 1024);
    ::getsockname(listener_.value(), reinterpret_cast<sockaddr*>(&name), &size);
    address_ = format("127.0.0.1:{}", ntohs(name.sin_port));
    for (std::size_t i = 0; i < kServers; ++i) servers_.emplace_back([this] { serve_all(); });
    acceptor_ = std::thread([this] { accept_all(); });
}

FaultyUpstream::~FaultyUpstream() {
    stops_ = true;
    ::shutdown(listener_.value(), SHUT_RDWR);
    acceptor_.join();
    news_.notify_all();
    for (std::thread& thread : servers_) thread.join();
}

void FaultyUpstream::accept_all() {
    for (;;) {
        UniqueFd fd(::accept4(listener_.value(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) return;
        const std::scoped_lock lock(mutex_);
        waiting_.push_back(std::move(fd));
        news_.notify_one();
    }
}

void FaultyUpstream::serve_all() {
    for (;;) {
        std::unique_lock lock(mutex_);
        news_.wait(lock, [this] { return stops_ || !waiting_.empty(); });
        if (stops_) return;
        RawSocket socket(std::move(waiting_.front()));
        waiting_.pop_front();
        lock.unlock();
        serve(socket);
    }
}

void FaultyUpstream::serve(RawSocket& socket) {
    const std::string request = read_whole_request(socket);
    if (request.starts_with("GET ")) {
        socket.send(whole_answer(200, R"({"object":"list","data":[],"models":[]})"));
        return;
    }
    ++requests_;
    const bool streams = request.contains(R"("stream":true)");
    for (const UpstreamWire& wire : upstream_wires()) {
        if (wire.streams() != streams || !request.starts_with(format("POST {} ", wire.path)))
            continue;
        play(socket, wire, model_in_request(request));
        return;
    }
    socket.send(whole_answer(404, R"({"error":{"message":"no such route"}})"));
}

// Until the other side is gone.
static void wait_for_end(RawSocket& socket, const std::atomic<bool>& stops) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!stops && std::chrono::steady_clock::now() < end) {
        const auto some = socket.read_some(kTick);
        if (some && some->empty()) return;
    }
}

void FaultyUpstream::repeat(RawSocket& socket, std::string_view bytes, std::size_t bytes_max,
                            milliseconds pause) {
    std::size_t taken = 0;
    std::string_view rest;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!stops_ && taken < bytes_max && std::chrono::steady_clock::now() < end) {
        if (rest.empty()) rest = bytes;
        const ssize_t sent =
            ::send(socket.fd(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN) break;
        if (sent > 0) {
            rest.remove_prefix(std::size_t(sent));
            taken += std::size_t(sent);
            bytes_taken_ = taken;
            if (rest.empty() && pause.count() > 0) std::this_thread::sleep_for(pause);
            continue;
        }
        pollfd poll{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
        ::poll(&poll, 1, int(kTick.count()));
    }
}

void FaultyUpstream::play_head(RawSocket& socket, Fault fault, std::string_view retry_after) const {
    constexpr std::string_view kHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
    switch (fault) {
        case Fault::NoHead: reset_connection(socket); return;
        case Fault::HeadStall: wait_for_end(socket, stops_); return;
        case Fault::HeadHalf: socket.send(kHead.substr(0, 30)); return;
        case Fault::HeadMalformed: socket.send("SSH-2.0-OpenSSH_9.2\r\n\r\n"); return;
        case Fault::WrongType:
            socket.send(whole_answer(200, "<html>Sign in</html>", "", "text/html"));
            return;
        case Fault::HeadLoris: trickle(socket, kHead); return;
        case Fault::HeadEndless:
            socket.send(kHead);
            while (!stops_ && socket.send("X-More: of the same, again and again\r\n")) {
            }
            return;
        default: break;
    }
    const std::string field =
        retry_after.empty() ? std::string() : format("Retry-After: {}\r\n", retry_after);
    socket.send(whole_answer(status_of_fault(fault), R"({"error":{"message":"not now"}})", field));
}

// The head and the events before the fault. In one piece: what a limit's clock sees does not depend
// on how busy the machine is.
std::string FaultyUpstream::sound_part(const UpstreamWire& wire, Fault fault, std::size_t index) {
    const bool is_bounded =
        fault != Fault::Endless && fault != Fault::Silent && fault != Fault::Big;
    const bool is_chunked = wire.streams() && (fault == Fault::Closed || fault == Fault::None);
    std::size_t length = 0;
    for (const std::string& event : wire.events) length += event.size();
    std::string out =
        format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nConnection: close\r\n", wire.content_type);
    if (is_chunked) out += "Transfer-Encoding: chunked\r\n";
    if (!wire.streams() && is_bounded) out += format("Content-Length: {}\r\n", length);
    out += "\r\n";
    const std::size_t count = wire.events.size();
    const std::size_t sound = fault == Fault::None ? count : std::min(index, count);
    for (std::size_t i = 0; i < sound; ++i) {
        const std::string& event = wire.events[i];
        out += is_chunked ? format("{:x}\r\n{}\r\n", event.size(), event) : event;
    }
    if (is_chunked) out += "0\r\n\r\n";
    return out;
}

void FaultyUpstream::play(RawSocket& socket, const UpstreamWire& wire, std::string_view model) {
    Script script = script_of(model);
    if (script.fault == Fault::Flood) script.index = 2;
    if (script.fault >= Fault::WrongType && script.fault != Fault::Flood) {
        play_head(socket, script.fault, script.retry_after);
        return;
    }
    const bool is_other = script.fault == Fault::Malformed || script.fault == Fault::ErrorIn200;
    if (!wire.streams() && is_other) {
        const bool is_malformed = script.fault == Fault::Malformed;
        socket.send(whole_answer(200, is_malformed ? wire.malformed : wire.error));
        return;
    }
    if (!socket.send(sound_part(wire, script.fault, script.index))) return;
    play_event(socket, wire, script.fault, script.index);
}

// Byte by byte, far under any rate.
void FaultyUpstream::trickle(RawSocket& socket, std::string_view bytes) const {
    for (const char byte : bytes) {
        if (stops_ || !socket.send(std::string_view(&byte, 1))) return;
        const auto some = socket.read_some(kTrickle);
        if (some && some->empty()) return;
    }
}

void FaultyUpstream::play_event(RawSocket& socket, const UpstreamWire& wire, Fault fault,
                                std::size_t index) {
    const bool is_after = index >= wire.events.size();
    const std::string event =
        is_after ? std::string(": more than there is\n\n") : wire.events[index];
    switch (fault) {
        case Fault::Reset:
            // What was sent before is read first: a reset takes back what has not been.
            std::this_thread::sleep_for(kBeforeReset);
            reset_connection(socket);
            return;
        case Fault::Stall: wait_for_end(socket, stops_); return;
        case Fault::Half: socket.send(std::string_view(event).substr(0, event.size() / 2)); return;
        case Fault::Malformed:
        case Fault::ErrorIn200: {
            std::string out = fault == Fault::Malformed ? wire.malformed : wire.error;
            for (std::size_t i = index; i < wire.events.size(); ++i) out += wire.events[i];
            socket.send(out);
            return;
        }
        case Fault::Loris:
            trickle(socket, event);
            wait_for_end(socket, stops_);
            return;
        case Fault::Endless:
            repeat(socket, wire.streams() ? wire.again : "xxxxxxxx", std::size_t(-1),
                   milliseconds(1));
            return;
        case Fault::Flood: {
            std::string many;
            while (many.size() < (64 << 10)) many += wire.again;
            repeat(socket, many, std::size_t(-1), milliseconds(0));
            return;
        }
        case Fault::Silent: repeat(socket, wire.silent, std::size_t(-1), milliseconds(5)); return;
        case Fault::Big:
            socket.send(wire.big);
            repeat(socket, std::string(64 << 10, 'x'), kBigEventBytes, milliseconds(0));
            return;
        default: return;
    }
}

}  // namespace hearth::system_test
