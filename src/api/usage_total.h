#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>

namespace hearth::api {

// The usage of an answer whose engine may report it in parts: of each choice by itself, as far as
// it has come or at its end, or of all of them. What was generated is added up over the choices, a
// prompt counted once however many it had; of one choice its last count is the one that holds.
class UsageTotal {
  public:
    // Of every event, in the words of the OpenAI API, whether it has a usage or not.
    void add(const boost::json::object& event, std::int64_t choices_of_prompt);
    bool empty() const { return !whole_ && counts_.empty(); }
    // In the words of the engine, with its details where it reported them of the whole answer or of
    // its only choice. REQUIRES !empty()
    boost::json::object total() const;

  private:
    struct Counts {
        std::int64_t prompt = 0;
        std::int64_t cached = 0;
        std::int64_t completion = 0;
    };

    void see(std::int64_t choice);
    void add_whole(const boost::json::object& usage, bool names_no_choice);
    void add_choice(std::int64_t choice, const boost::json::object& usage);

    std::int64_t choices_of_prompt_ = 1;
    std::optional<std::int64_t> seen_;       // a choice
    bool several_ = false;                   // and another
    std::map<std::int64_t, Counts> counts_;  // by choice
    std::int64_t named_ = 0;                 // the choice whose words are kept
    boost::json::object words_;
    std::optional<boost::json::object> whole_;
};

}  // namespace hearth::api
