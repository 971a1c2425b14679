#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "testing/scripted_server.h"

// A server elsewhere that says what a test tells it to, in the words of its kind.
namespace hearth::system_test::matrix {

// What it does with the calls that come.
enum class Scene : std::uint8_t {
    Says,       // kSaid, and how many tokens that took
    Calls,      // kCallId: the tool of the call, with kCallArguments
    Refuses,    // 400
    IsFull,     // 429
    Fails,      // 500
    BreaksOff,  // begins, then tells an error
    Holds,      // begins, where that is a stream, and never ends
    IsSilent,   // never says anything
};

inline constexpr std::string_view kSaid = "It rains.";
inline constexpr std::string_view kCallId = "call_7";
inline constexpr std::string_view kCallArguments = R"({"city":"Rome"})";
inline constexpr int kPromptTokens = 21;
inline constexpr int kCompletionTokens = 5;
inline constexpr std::string_view kModel = "scripted";
// Of a server whose models do one thing each.
inline constexpr std::string_view kVectorModel = "scripted-vectors";

class ScriptedUpstream {
  public:
    // `kind` as in the configuration.
    explicit ScriptedUpstream(std::string kind);

    const std::string& address() const { return server_.address(); }
    void play(Scene scene) { scene_ = scene; }
    int calls() const { return calls_; }  // those that list models are none
    // Callers that left a call that is held.
    int left() const { return left_; }
    std::string last_body() const;
    std::string last_head() const;  // of the same call

  private:
    void serve(testing::RawSocket& socket);
    void answer(testing::RawSocket& socket, const std::string& target, const std::string& body);

    const std::string kind_;
    std::atomic<Scene> scene_ = Scene::Says;
    std::atomic<int> calls_ = 0;
    std::atomic<int> left_ = 0;
    mutable std::mutex mutex_;
    std::string last_body_;
    std::string last_head_;
    testing::ScriptedServer server_;  // the last: its threads use the others
};

}  // namespace hearth::system_test::matrix
