#pragma once

#include <optional>
#include <string>
#include <vector>

#include "http_probe.h"
#include "upstream_callers.h"

namespace hearth::system_test {

// One call of the matrix: a server's words, a caller's, and what goes wrong where.
struct FaultCase {
    const UpstreamWire* wire = nullptr;
    const CallerView* caller = nullptr;
    bool streams = true;  // to the caller
    Fault fault = Fault::None;
    std::size_t index = 0;                // the event in whose place it stands
    std::optional<int> retry_after = {};  // of a status, in seconds
    bool has_another = false;             // a model that stands in
    std::size_t number = 0;               // of those with a Retry-After, which pauses a server

    std::string backend() const;
    std::string model() const;  // as the caller names it; also what the server is told to do
    std::string name() const;

    // What of the answer has reached the caller when it happens.
    enum class Stage : std::uint8_t { Nothing, Part, Whole };
    Stage stage() const;
};

std::vector<FaultCase> stream_cases();
std::vector<FaultCase> whole_cases();
// backends, routing and fallbacks for all of them.
std::string fault_configuration(const std::vector<FaultCase>& cases, const std::string& upstream,
                                const std::string& full);

// The error that the caller is told; an empty message may be any.
Error expected_error(const FaultCase& one);
// What is wrong with the reply; empty: nothing.
std::string judge(const FaultCase& one, const Reply& reply);

}  // namespace hearth::system_test
