#include "onednn_rate.h"

#ifdef HEARTH_ONEDNN
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <oneapi/dnnl/dnnl.hpp>
#include <thread>
#include <unordered_map>
#include <vector>
#endif

namespace hearth::bench {

#ifdef HEARTH_ONEDNN
namespace {

using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr std::chrono::milliseconds kTime{120};

struct Types {
    Type a, b, c;
};

Types types_of(const std::string& name) {
    if (name == "bf16") return {Type::bf16, Type::bf16, Type::f32};
    if (name == "u8s8") return {Type::u8, Type::s8, Type::s32};
    if (name == "s8s8") return {Type::s8, Type::s8, Type::s32};
    return {Type::f32, Type::f32, Type::f32};
}

// oneDNN is built with OpenMP; each of our threads keeps its products to itself.
void stay_on_this_thread() {
    using SetThreads = void (*)(int);
    const auto set = reinterpret_cast<SetThreads>(::dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (set != nullptr) set(1);
}

double rate_of_one_thread(const Types& types, const GemmShape& shape, std::atomic<int>& waiting) {
    stay_on_this_thread();
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    dnnl::stream stream(engine);
    const auto dim = [](std::size_t n) { return static_cast<dnnl::memory::dim>(n); };
    const dnnl::memory::desc a({dim(shape.m), dim(shape.k)}, types.a, Tag::ab);
    const dnnl::memory::desc b({dim(shape.k), dim(shape.n)}, types.b, Tag::any);
    const dnnl::memory::desc c({dim(shape.m), dim(shape.n)}, types.c, Tag::ab);
    const dnnl::matmul::primitive_desc description(engine, a, b, c);
    const dnnl::matmul product(description);
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, dnnl::memory(a, engine)},
        {DNNL_ARG_WEIGHTS, dnnl::memory(description.weights_desc(), engine)},
        {DNNL_ARG_DST, dnnl::memory(c, engine)}};
    for (auto& [name, memory] : arguments) {
        auto* bytes = static_cast<std::byte*>(memory.get_data_handle());
        std::memset(bytes, 0, memory.get_desc().get_size());
    }
    product.execute(stream, arguments);
    waiting.fetch_sub(1);
    while (waiting.load() > 0) std::this_thread::yield();
    const auto begin = std::chrono::steady_clock::now();
    std::size_t products = 0;
    auto now = begin;
    for (; now < begin + kTime; now = std::chrono::steady_clock::now()) {
        product.execute(stream, arguments);
        stream.wait();
        ++products;
    }
    return static_cast<double>(products * shape.m * shape.n * shape.k) /
           std::chrono::duration<double>(now - begin).count();
}

}  // namespace

double onednn_macs_per_s(const std::string& type, const GemmShape& shape, std::size_t threads) {
    std::atomic<int> waiting{static_cast<int>(threads)};
    std::atomic<bool> failed{false};
    std::vector<double> rates(threads);
    std::vector<std::jthread> team;
    for (std::size_t t = 0; t < threads; ++t) {
        team.emplace_back([&, t] {
            try {
                rates[t] = rate_of_one_thread(types_of(type), shape, waiting);
            } catch (const dnnl::error&) {
                failed = true;
                waiting.store(0);
            }
        });
    }
    team.clear();
    return failed ? 0 : std::accumulate(rates.begin(), rates.end(), 0.0);
}
#else
double onednn_macs_per_s(const std::string&, const GemmShape&, std::size_t) { return 0; }
#endif

}  // namespace hearth::bench
