#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "inference/generate.h"

namespace hearth::api {

// One generated answer on its way to the caller, in the caller's dialect: as a stream, or whole at
// the end. Called in this order: event() and alive() any number of times, then finish() or, when
// something has been written, error(). Not thread-safe.
class AnswerWriter {
  public:
    virtual ~AnswerWriter() = default;

    virtual bool streams() const = 0;
    virtual std::string_view content_type() const = 0;
    // Appends to `out` what the event means to the caller, which may be nothing. Error: TooLarge
    // when an answer that is kept until its end grows over the bound.
    virtual Result<void> event(boost::json::object event, std::string& out) = 0;
    // Nothing has been said for a while: what keeps the connection alive, if the dialect has it.
    virtual void alive(std::string& out) = 0;
    virtual void finish(const inference::GenerateReply& reply, std::string& out) = 0;
    // After the first byte, when the status can no longer tell.
    virtual void error(const Error& error, std::string& out) = 0;
};

}  // namespace hearth::api
