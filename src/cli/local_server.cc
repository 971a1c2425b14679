#include "cli/local_server.h"

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/format.h"
#include "runtime/blocking.h"
#include "runtime/child_process.h"
#include "runtime/deadline.h"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::seconds kReadyTime{30};
constexpr std::chrono::seconds kStopTime{20};
constexpr std::string_view kReady = "ready http://";

Result<fs::path> make_temporary_folder() {
    std::string pattern = (fs::temp_directory_path() / "hearth-demo-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
        return fail(Code::Unavailable,
                    format("no folder can be made in {}", fs::temp_directory_path().string()));
    }
    return fs::path(pattern);
}

}  // namespace

struct LocalServer::Impl {
    boost::asio::io_context io{1};
    fs::path folder;
    std::string address;
    std::string last_line;
    std::unique_ptr<runtime::ChildProcess> child;

    ~Impl() {
        child.reset();
        std::error_code ignored;
        fs::remove_all(folder, ignored);
    }

    void take_line(std::string_view line) {
        if (line.starts_with(kReady)) {
            address = line.substr(kReady.size());
        } else {
            last_line = line;
        }
    }

    // Runs the io_context in short turns until `done` or the deadline.
    template <class Done>
    bool run_until(Deadline deadline, Done done) {
        while (!done() && !deadline.passed()) io.run_one_for(std::chrono::milliseconds(50));
        return done();
    }
};

Result<std::unique_ptr<LocalServer>> LocalServer::start() {
    auto impl = std::make_unique<Impl>();
    TRY(impl->folder, make_temporary_folder());
    runtime::ChildOptions options{
        .program = fs::read_symlink("/proc/self/exe").string(),
        .arguments = {"serve", "--listen", "127.0.0.1:0", "--data-dir", impl->folder.string()},
        .environment = {},
        .on_line = [raw = impl.get()](std::string_view line) { raw->take_line(line); }};
    TRY(impl->child, runtime::ChildProcess::start(impl->io, std::move(options)));
    if (!impl->run_until(Deadline::after(kReadyTime), [&] { return !impl->address.empty(); })) {
        return fail(Code::Unavailable, "the server did not start: " + impl->last_line);
    }
    return std::unique_ptr<LocalServer>(new LocalServer(std::move(impl)));
}

LocalServer::LocalServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LocalServer::~LocalServer() = default;

const std::string& LocalServer::address() const { return impl_->address; }

namespace {

Awaitable<Result<runtime::ExitStatus>> wait_for(runtime::ChildProcess& child) {
    co_return co_await child.wait();
}

}  // namespace

Result<void> LocalServer::stop() {
    impl_->child->signal(SIGTERM);
    TRY(const auto ended, runtime::run_blocking(impl_->io, with_deadline(Deadline::after(kStopTime),
                                                                         wait_for(*impl_->child))));
    if (ended.code != 0) {
        return fail(Code::Internal, format("the server ended with code {} signal {}: {}",
                                           ended.code, ended.signal, impl_->last_line));
    }
    return {};
}

}  // namespace hearth::cli
