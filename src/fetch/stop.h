#pragma once

namespace hearth::fetch {

// The end on request. SIGTERM, SIGINT and SIGHUP only set a flag, which every loop of this program
// asks at least ten times a second; SIGPIPE and SIGXFSZ become errors of the write. Call it once,
// before anything else.
void install_stop_handlers();
bool stop_requested();

// As long as one exists such a signal ends the process at once, with the last line and the exit
// code of Failure::Stopped: for long work in which nothing would ask the flag and nothing is lost.
class StopAtOnce {
  public:
    StopAtOnce();
    ~StopAtOnce();
    StopAtOnce(const StopAtOnce&) = delete;
    StopAtOnce& operator=(const StopAtOnce&) = delete;
};

// The last line in both cases.
inline constexpr char kStoppedLine[] =
    R"({"error":"the download was stopped; the next pull of this model goes on from here","code":"stopped"})"
    "\n";

}  // namespace hearth::fetch
