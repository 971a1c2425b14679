#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <set>

namespace hearth::api {

// Adds the usage of the choices of one answer, of which an engine reports each by itself: what was
// generated for all of them, a prompt once however many choices it had.
class UsageTotal {
  public:
    // `usage` as in the OpenAI API, of a choice of the prompt of that number.
    void add(const boost::json::object& usage, std::int64_t prompt);
    bool empty() const { return total_.empty(); }
    // In the words of the first one, with its details.
    const boost::json::object& total() const { return total_; }

  private:
    boost::json::object total_;
    std::set<std::int64_t> prompts_;
};

}  // namespace hearth::api
