#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::cli {

// What a caller sets for every message; what is empty or null is left to the server.
struct ChatSettings {
    std::string model;
    std::string system;
    boost::json::object options;
    boost::json::value format;      // "json" or a schema
    boost::json::value think;       // true, false or a level
    boost::json::value keep_alive;  // seconds or a duration
};

// A chat in the words of /api/chat. Pure; ill-formed UTF-8 is repaired.
class Conversation {
  public:
    ChatSettings settings;

    void say(std::string_view text, const std::vector<std::string>& images);
    // What the model said; nothing at all takes the question back.
    void hear(std::string_view text, std::string_view thinking);
    void take_back();  // the last question, which was not answered
    void clear();      // the messages; the settings stay
    std::size_t size() const { return messages_.size(); }

    // Bodies of POST /api/chat.
    std::string request(bool stream) const;
    std::string load_request() const;

    // The conversation so far as a call that could be sent.
    boost::json::object saved() const;

  private:
    boost::json::object body() const;

    boost::json::array messages_;
};

}  // namespace hearth::cli
