// hearth-bench-report: medians, spreads and ratios of recorded measurements, as one table and one
// JSON file.
//
// Measurements are lines "label.metric<TAB>value", repeated once per round. Cases are lines of six
// fields divided by '|': name | unit | ours | peer | theirs | bar. `ours` and `theirs` are keys of
// measurements, or a number (a stated limit); theirs may name several keys divided by ',': the best
// one counts. A unit that ends in "/s" or is "%" is better when higher, any other when lower.
// `ratio` says how many times better ours is: where both were measured in the same rounds, the
// median over the ratios of each round, since what disturbs a machine disturbs neighbours alike.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/format.h"

namespace hearth::bench {
namespace {

namespace json = boost::json;

struct Options {
    std::string name;
    std::string measurements;
    std::string cases;
    std::string json_out;
    std::string machine;
    std::string commit;
    std::vector<std::string> notes;
};

struct Sample {
    double median = 0;
    double min = 0;
    double max = 0;
    std::vector<double> values;  // one per round, in their order; empty: a stated limit
};

using Samples = std::map<std::string, Sample, std::less<>>;

Sample summarize(std::vector<double> values) {
    std::vector<double> sorted = values;
    std::ranges::sort(sorted);
    const std::size_t n = sorted.size();
    const double median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    return {
        .median = median, .min = sorted.front(), .max = sorted.back(), .values = std::move(values)};
}

Samples read_measurements(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot read " + path);
    std::map<std::string, std::vector<double>> values;
    for (std::string line; std::getline(file, line);) {
        const std::size_t tab = line.find('\t');
        if (tab == std::string::npos) continue;
        values[line.substr(0, tab)].push_back(std::stod(line.substr(tab + 1)));
    }
    Samples samples;
    for (auto& [key, list] : values) samples.emplace(key, summarize(std::move(list)));
    return samples;
}

std::vector<std::string> split(const std::string& line, char divider) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (begin <= line.size()) {
        const std::size_t end = std::min(line.find(divider, begin), line.size());
        std::string part = line.substr(begin, end - begin);
        part.erase(0, part.find_first_not_of(' '));
        part.erase(part.find_last_not_of(' ') + 1);
        parts.push_back(std::move(part));
        begin = end + 1;
    }
    return parts;
}

struct Found {
    Sample sample;
    std::string key;
};

bool higher_is_better(const std::string& unit) { return unit.ends_with("/s") || unit == "%"; }

// The best of the keys named; a plain number stands for itself.
std::optional<Found> find_best(const Samples& samples, const std::string& keys,
                               const std::string& unit) {
    std::optional<Found> best;
    for (const std::string& key : split(keys, ',')) {
        double number = 0;
        const auto parsed = std::from_chars(key.data(), key.data() + key.size(), number);
        Found found{.sample = {.median = number, .min = number, .max = number, .values = {}},
                    .key = {}};
        if (key.empty() || parsed.ec != std::errc{} || parsed.ptr != key.data() + key.size()) {
            const auto at = samples.find(key);
            if (at == samples.end()) continue;
            found = {.sample = at->second, .key = key};
        }
        const bool better =
            !best || (found.sample.median > best->sample.median) == higher_is_better(unit);
        if (better) best = found;
    }
    return best;
}

std::string show(const std::optional<Found>& found) {
    if (!found) return "-";
    const Sample& s = found->sample;
    if (s.values.size() < 2) return format("{:.4g}", s.median);
    return format("{:.4g} ({:.4g}..{:.4g})", s.median, s.min, s.max);
}

std::optional<Sample> ratio_of(const Sample& ours, const Sample& theirs, bool higher) {
    if (ours.min <= 0 || theirs.min <= 0) return std::nullopt;
    const auto ratio = [&](double a, double b) { return higher ? a / b : b / a; };
    if (ours.values.size() != theirs.values.size()) {
        return summarize({ratio(ours.median, theirs.median)});
    }
    std::vector<double> ratios;
    for (std::size_t i = 0; i < ours.values.size(); ++i) {
        ratios.push_back(ratio(ours.values[i], theirs.values[i]));
    }
    return summarize(std::move(ratios));
}

struct Row {
    std::string name, unit, peer, bar;
    std::optional<Found> ours, theirs;
    std::optional<Sample> ratio;
};

Row make_row(const Samples& samples, const std::string& line) {
    std::vector<std::string> fields = split(line, '|');
    fields.resize(6);
    Row row{.name = fields[0],
            .unit = fields[1],
            .peer = fields[3],
            .bar = fields[5],
            .ours = find_best(samples, fields[2], fields[1]),
            .theirs = find_best(samples, fields[4], fields[1]),
            .ratio = {}};
    if (row.theirs && row.theirs->key.contains('.') && fields[4].contains(','))
        row.peer += ": " + row.theirs->key.substr(0, row.theirs->key.rfind('.'));
    if (row.ours && row.theirs) {
        row.ratio = ratio_of(row.ours->sample, row.theirs->sample, higher_is_better(row.unit));
    }
    return row;
}

std::string verdict(const Row& row) {
    if (row.bar.empty()) return "";
    if (!row.ratio) return format("bar {}: not measured", row.bar);
    return format("bar {}: {}", row.bar,
                  row.ratio->median >= std::stod(row.bar) ? "met" : "MISSED");
}

void print_row(const Row& row) {
    std::string ratio = "-";
    if (row.ratio) ratio = format("{:.2f}x", row.ratio->median);
    if (row.ratio && row.ratio->values.size() > 1) {
        ratio += format(" ({:.2f}..{:.2f})", row.ratio->min, row.ratio->max);
    }
    std::printf("%-46s %-10s %-26s %-38s %-26s %20s  %s\n", row.name.c_str(), row.unit.c_str(),
                show(row.ours).c_str(), row.peer.c_str(), show(row.theirs).c_str(), ratio.c_str(),
                verdict(row).c_str());
}

json::value number_or_null(const std::optional<Found>& found) {
    return found ? json::value(found->sample.median) : json::value(nullptr);
}

json::value spread_of(const Sample& sample) {
    if (sample.values.empty()) return nullptr;
    return json::object{{"min", sample.min}, {"max", sample.max}, {"rounds", sample.values.size()}};
}

json::value spread_or_null(const std::optional<Found>& found) {
    return found ? spread_of(found->sample) : json::value(nullptr);
}

json::object to_json(const Row& row) {
    json::object object{
        {"name", row.name},
        {"unit", row.unit},
        {"ours", number_or_null(row.ours)},
        {"peer", row.peer},
        {"theirs", number_or_null(row.theirs)},
        {"ratio", row.ratio ? json::value(row.ratio->median) : json::value(nullptr)},
        {"ratio_spread", row.ratio ? spread_of(*row.ratio) : json::value(nullptr)},
        {"ours_spread", spread_or_null(row.ours)},
        {"theirs_spread", spread_or_null(row.theirs)}};
    if (!row.bar.empty()) {
        object["bar"] = std::stod(row.bar);
        object["met"] =
            row.ratio ? json::value(row.ratio->median >= std::stod(row.bar)) : json::value(nullptr);
    }
    return object;
}

void report(const Options& options) {
    const Samples samples = read_measurements(options.measurements);
    std::ifstream file(options.cases);
    if (!file) throw std::runtime_error("cannot read " + options.cases);
    std::printf("\n%s  (medians, min..max over rounds; ratio: how many times better Hearth is)\n",
                options.name.c_str());
    std::printf("machine %s, commit %s\n", options.machine.c_str(), options.commit.c_str());
    for (const std::string& note : options.notes) std::printf("%s\n", note.c_str());
    std::printf("%-46s %-10s %-26s %-38s %-26s %20s\n", "case", "unit", "Hearth", "peer", "theirs",
                "ratio");
    json::array cases;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        const Row row = make_row(samples, line);
        print_row(row);
        cases.push_back(to_json(row));
    }
    json::array notes(options.notes.begin(), options.notes.end());
    const json::object document{{"machine", options.machine},
                                {"commit", options.commit},
                                {"notes", notes},
                                {"cases", cases}};
    std::ofstream out(options.json_out);
    out << json::serialize(document) << '\n';
    if (!out.flush()) throw std::runtime_error("cannot write " + options.json_out);
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    hearth::bench::Options options;
    CLI::App app("hearth-bench-report: medians, spreads and ratios of recorded measurements");
    app.add_option("--name", options.name, "title")->required();
    app.add_option("--measurements", options.measurements, "label.metric<TAB>value lines")
        ->required();
    app.add_option("--cases", options.cases, "what to compare with what")->required();
    app.add_option("--json", options.json_out, "file to write")->required();
    app.add_option("--machine", options.machine);
    app.add_option("--commit", options.commit);
    app.add_option("--note", options.notes, "a line for the table's head");
    CLI11_PARSE(app, argc, argv);
    try {
        hearth::bench::report(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hearth-bench-report: %s\n", error.what());
        return 1;
    }
    return 0;
}
