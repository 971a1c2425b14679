#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>

#include "base/format.h"
#include "server_process.h"
#include "testing/full_listener.h"
#include "upstream_fault_case.h"

// A gateway in front of servers that fail in every way, at every event of every dialect they speak:
// what its callers see of it, in every dialect they speak.
namespace hearth::system_test {
namespace {

using std::chrono::seconds;

// Most cases wait; where each costs ten times the work, many at once would all be late.
constexpr std::size_t kThreads = kSanitized ? 16 : 40;
// The limits of a call add up to 7 s at most; the rest is for machines that are busy.
constexpr seconds kCaseMax{kSanitized ? 90 : 30};

// Wrong cases end the run early: one broken rule breaks hundreds.
constexpr std::size_t kWrongMax = 20;

class Matrix {
  public:
    explicit Matrix(std::vector<FaultCase> cases) : cases_(std::move(cases)) {
        std::ofstream(folder_ / "hearth.yaml")
            << fault_configuration(cases_, upstream_.address(), full_.address());
        gateway_ = std::make_unique<ServerProcess>(StartOptions{
            .arguments = {"--config", (folder_ / "hearth.yaml").string()},
            .environment = {"HEARTH_MODELS__INSTALLED=false", "HEARTH_MODELS__OLLAMA_STORE=false",
                            "HEARTH_MODELS__HUB_CACHE=false"}});
    }
    ~Matrix() { std::filesystem::remove_all(folder_); }

    void run() {
        std::vector<std::jthread> threads;
        for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back([this] { run_cases(); });
        threads.clear();
        EXPECT_TRUE(is_alive(gateway_->pid())) << gateway_->log();
        EXPECT_EQ(wrong_, 0U);
    }
    // Rows: wires; columns: faults. No cell may be empty.
    void print_table() const {
        std::map<std::string_view, std::map<Fault, std::size_t>> counts;
        for (const FaultCase& one : cases_) ++counts[one.wire->name][one.fault];
        std::string out = format("{:20}", "cases");
        for (int fault = 1; fault <= int(Fault::ConnectStall); ++fault) {
            out += format(" {:>6.6}", name_of(Fault(fault)));
        }
        for (const UpstreamWire& wire : upstream_wires()) {
            out += format("\n{:20}", wire.name);
            for (int fault = 1; fault <= int(Fault::ConnectStall); ++fault) {
                const std::size_t count = counts[wire.name][Fault(fault)];
                EXPECT_GT(count, 0U) << wire.name << " " << name_of(Fault(fault));
                out += format(" {:6}", count);
            }
        }
        std::printf("%s\n%zu cases\n", out.c_str(), cases_.size());
    }

  private:
    void run_cases() {
        for (;;) {
            const std::size_t next = next_++;
            if (next >= cases_.size() || wrong_ > kWrongMax) return;
            const FaultCase& one = cases_[next];
            const std::string wrong = run_case(one);
            if (wrong.empty()) continue;
            ++wrong_;
            ADD_FAILURE() << one.name() << "\n" << wrong;
        }
    }
    std::string run_case(const FaultCase& one) {
        std::unique_lock<std::mutex> alone;
        if (one.fault == Fault::Big) alone = std::unique_lock(big_);
        const std::string stream = one.caller->embeds ? "" : format(R"("stream":{},)", one.streams);
        const std::string body =
            format(R"({{"model":"{}",{}{}}})", one.model(), stream, one.caller->body);
        const auto begun = std::chrono::steady_clock::now();
        try {
            HttpProbe probe(gateway_->address(), kCaseMax);
            const Reply reply = probe.post(one.caller->path, body);
            const auto took = std::chrono::steady_clock::now() - begun;
            if (took > kCaseMax) return "it took too long";
            return judge(one, reply);
        } catch (const std::exception& error) {
            return format("no whole HTTP answer: {}", error.what());
        }
    }

    const std::vector<FaultCase> cases_;
    const std::filesystem::path folder_ = make_folder();
    FaultyUpstream upstream_;
    testing::FullListener full_;
    std::unique_ptr<ServerProcess> gateway_;
    std::mutex big_;  // one of them at a time
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::size_t> wrong_ = 0;
};

TEST(UpstreamFaults, NoneHangsNoneEndsFalselyAndEachIsToldInItsCallersWords) {
    std::vector<FaultCase> cases = stream_cases();
    for (FaultCase& one : whole_cases()) cases.push_back(one);
    Matrix matrix(std::move(cases));
    matrix.run();
    matrix.print_table();
}

}  // namespace
}  // namespace hearth::system_test
