#include "matrix_upstream.h"

#include <boost/json.hpp>

#include "base/format.h"
#include "matrix_words.h"

namespace hearth::system_test::matrix {
namespace {

namespace json = boost::json;
using testing::RawSocket;

std::string lower_case(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::size_t length_of(const std::string& head) {
    constexpr std::string_view kField = "content-length: ";
    const std::size_t at = lower_case(head).find(kField);
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + kField.size()));
}

void send_whole(const RawSocket& socket, int status, std::string_view body,
                std::string_view fields = {}) {
    socket.send(
        format("HTTP/1.1 {} Told\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
               "Retry-After: 0\r\nConnection: close\r\n{}\r\n{}",
               status, body.size(), fields, body));
}

// Until the caller is gone; false when it does not go.
bool wait_for_end(const RawSocket& socket) {
    const auto more = socket.read_some();
    return more && more->empty();
}

}  // namespace

ScriptedUpstream::ScriptedUpstream(std::string kind)
    : kind_(std::move(kind)), server_([this](RawSocket& socket, int) { serve(socket); }) {}

std::string ScriptedUpstream::last_body() const {
    const std::scoped_lock lock(mutex_);
    return last_body_;
}

std::string ScriptedUpstream::last_head() const {
    const std::scoped_lock lock(mutex_);
    return last_head_;
}

void ScriptedUpstream::serve(RawSocket& socket) {
    const std::string head = socket.read_until("\r\n\r\n");
    const std::size_t begin = head.find(' ') + 1;
    const std::string target = head.substr(begin, head.find(' ', begin) - begin);
    const std::string body = socket.read_exactly(length_of(head));
    if (const auto told = told_of(kind_, head.substr(0, head.find(" HTTP/")))) {
        return send_whole(socket, 200, *told);
    }
    {
        const std::scoped_lock lock(mutex_);
        last_body_ = body;
        last_head_ = head;
    }
    ++calls_;
    answer(socket, target, body);
}

void ScriptedUpstream::answer(RawSocket& socket, const std::string& target,
                              const std::string& body) {
    const bool is_text = is_generating(target);
    // Tokens travel as bytes.
    const bool is_json = is_text || kind_ != "triton";
    const json::object asked = is_json ? json::parse(body).as_object() : json::object{};
    const json::value* flag = asked.if_contains("stream");
    // Ollama streams unless it is told not to.
    const bool stream = is_text && (flag != nullptr ? flag->as_bool() : kind_ == "ollama");
    const Scene scene = scene_;
    if (scene == Scene::Refuses) return send_whole(socket, 400, error_of(kind_, 400));
    if (scene == Scene::IsFull) return send_whole(socket, 429, error_of(kind_, 429));
    if (scene == Scene::Fails || (scene == Scene::BreaksOff && !stream)) {
        return send_whole(socket, 500, error_of(kind_, 500));
    }
    if (scene == Scene::IsSilent || (scene == Scene::Holds && !stream)) {
        if (wait_for_end(socket)) ++left_;
        return;
    }
    const Words words{
        .kind = kind_, .target = target, .asked = asked, .calls = scene == Scene::Calls};
    if (!is_json) {
        const Tensors told = tensors();
        return send_whole(socket, 200, told.body,
                          format("Inference-Header-Content-Length: {}\r\n", told.head_bytes));
    }
    if (!stream) return send_whole(socket, 200, words.whole());
    const char* type = kind_ == "ollama" ? "application/x-ndjson" : "text/event-stream";
    socket.send(format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nConnection: close\r\n\r\n", type));
    if (scene == Scene::BreaksOff) {
        socket.send(words.beginning() + words.failure());
    } else if (scene == Scene::Holds) {
        socket.send(words.beginning());
        if (wait_for_end(socket)) ++left_;
    } else {
        socket.send(words.beginning() + words.rest());
    }
}

}  // namespace hearth::system_test::matrix
