// scripted-parent PROGRAM [ARGUMENT...]: starts it as a ChildProcess, prints "child PID" and every
// line of the child, and ends with it. Tests kill this program to see what becomes of its child.
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "runtime/child_process.h"
#include "testing/run.h"

int main(int count, char** words) {
    if (count < 2) return 64;
    boost::asio::io_context io;
    hearth::runtime::ChildOptions options;
    options.program = words[1];
    options.arguments.assign(words + 2, words + count);
    options.on_line = [](std::string_view line) {
        std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
        std::fflush(stdout);
    };
    auto child = hearth::runtime::ChildProcess::start(io, std::move(options));
    if (!child) {
        std::fprintf(stderr, "%s\n", child.error().message.c_str());
        return 1;
    }
    std::printf("child %d\n", (*child)->pid());
    std::fflush(stdout);
    hearth::testing::run(io, (*child)->wait(), std::chrono::hours(1));
    return 0;
}
