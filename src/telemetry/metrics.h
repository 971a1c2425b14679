#pragma once

#include <map>
#include <memory>
#include <string>

namespace prometheus {
class Counter;
template <typename T>
class Family;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace hearth::metrics {

using Labels = std::map<std::string, std::string>;

// A monotonic count. Thread-safe, wait-free to increment. The Registry must outlive it.
class Counter {
  public:
    void add(double amount = 1) const;
    double value() const;

  private:
    friend class Registry;
    explicit Counter(prometheus::Counter& counter) : counter_(&counter) {}
    prometheus::Counter* counter_;
};

// A value that goes up and down. Thread-safe.
class Gauge {
  public:
    void set(double value) const;
    void add(double amount) const;
    double value() const;
    // Is told no more: what it was of is gone. REQUIRES nobody uses it, or a copy of it, after
    // this. One looked up later is another.
    void remove() const;

  private:
    friend class Registry;
    using Family = prometheus::Family<prometheus::Gauge>;
    Gauge(Family& family, prometheus::Gauge& gauge) : family_(&family), gauge_(&gauge) {}
    Family* family_;
    prometheus::Gauge* gauge_;
};

// Latencies in seconds, buckets from 0.1 ms to 60 s. Thread-safe.
class Histogram {
  public:
    void observe(double seconds) const;

  private:
    friend class Registry;
    explicit Histogram(prometheus::Histogram& histogram) : histogram_(&histogram) {}
    prometheus::Histogram* histogram_;
};

// The process's metrics. Thread-safe. Looking a metric up takes a lock: do it once, keep the
// handle.
class Registry {
  public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
    Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
    Histogram histogram(const std::string& name, const std::string& help,
                        const Labels& labels = {});

    // Prometheus text exposition format 0.0.4.
    std::string expose() const;

  private:
    std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace hearth::metrics
