#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/local_server.h"
#include "cli/output.h"
#include "cli/pieces.h"
#include "cli/progress.h"

namespace hearth::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kPlacesPerQuestion = 3;

struct DemoOptions {
    std::string folder = ".";
    std::string model = "all-minilm";
    std::vector<std::string> questions = {"where are command line options read?",
                                          "how is an error reported to the caller?",
                                          "where is text split into tokens?"};
};

double milliseconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

// `share` in [0, 1] of the sorted sample, nearest rank.
std::chrono::nanoseconds percentile(std::vector<std::chrono::nanoseconds> sample, double share) {
    if (sample.empty()) return {};
    std::ranges::sort(sample);
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(sample.size())));
    return sample[std::clamp<std::size_t>(rank, 1, sample.size()) - 1];
}

float dot(const float* a, const float* b, std::size_t size) {
    return std::inner_product(a, a + size, b, 0.0F);
}

std::string first_line(const std::string& text) {
    return text.substr(0, std::min<std::size_t>(text.find('\n'), 72));
}

void print_places(const std::vector<Piece>& pieces, const Embedded& places, const float* question) {
    std::vector<std::pair<float, std::size_t>> scores;
    scores.reserve(pieces.size());
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const float* row = places.vectors.data() + i * places.dimension;
        scores.emplace_back(dot(row, question, places.dimension), i);
    }
    const std::size_t shown = std::min(kPlacesPerQuestion, scores.size());
    std::ranges::partial_sort(scores, scores.begin() + static_cast<std::ptrdiff_t>(shown),
                              std::greater<>());
    for (std::size_t k = 0; k < shown; ++k) {
        const Piece& piece = pieces[scores[k].second];
        std::printf("  %.3f  %s:%zu  %s\n", static_cast<double>(scores[k].first),
                    piece.file.c_str(), piece.line, first_line(piece.text).c_str());
    }
}

struct Run {
    Embedded embedded;
    std::chrono::duration<double> took{};
    std::vector<std::chrono::nanoseconds> latencies;
};

Result<Run> embed_pieces(Connection& connection, const std::vector<std::string>& texts,
                         const std::string& model) {
    Run run;
    Progress bar("embedding", texts.size());
    const auto start = std::chrono::steady_clock::now();
    const Connection::EmbedPlan plan{
        .model = model,
        .truncate = true,
        .progress = [&](std::size_t done, std::chrono::nanoseconds latency) {
            bar.update(done);
            run.latencies.push_back(latency);
        }};
    TRY(run.embedded, connection.embed(texts, plan));
    run.took = std::chrono::steady_clock::now() - start;
    return run;
}

Result<void> demo(const DemoOptions& options) {
    auto pieces = collect_pieces(options.folder, {});
    if (pieces.empty()) {
        return fail(Code::NotFound, format("{} holds no text files", options.folder));
    }
    TRY(const auto server, LocalServer::start());
    Connection connection(server->address());
    std::vector<std::string> texts;
    texts.reserve(pieces.size());
    for (const auto& piece : pieces) texts.push_back(piece.text);
    TRY(const Run run, embed_pieces(connection, texts, options.model));
    TRY(const auto questions, connection.embed(options.questions, {.model = options.model}));
    std::printf("%zu pieces of %s embedded by %s\n", pieces.size(), options.folder.c_str(),
                options.model.c_str());
    for (std::size_t i = 0; i < options.questions.size(); ++i) {
        std::printf("\n%s\n", options.questions[i].c_str());
        print_places(pieces, run.embedded, questions.vectors.data() + i * questions.dimension);
    }
    std::printf("\n%.0f texts/s, %.0f tokens/s, per call of 32 texts p50 %.1f ms p95 %.1f ms\n",
                static_cast<double>(pieces.size()) / run.took.count(),
                static_cast<double>(run.embedded.tokens) / run.took.count(),
                milliseconds(percentile(run.latencies, 0.5)),
                milliseconds(percentile(run.latencies, 0.95)));
    return server->stop();
}

}  // namespace

void add_demo(CLI::App& app, int& status) {
    auto options = std::make_shared<DemoOptions>();
    auto* command = app.add_subcommand(
        "demo",
        "Start a server, embed a folder's code and answer questions with the nearest places");
    command->add_option("folder", options->folder, "Folder of sources")->capture_default_str();
    command->add_option("-q,--question", options->questions, "Question, may repeat");
    command->add_option("-m,--model", options->model, "Model")->capture_default_str();
    command->footer(
        "Examples:\n  hearth demo\n  hearth demo ~/src/project -q 'where is the cache?'");
    command->callback([options, &status] { status = report(demo(*options)); });
}

}  // namespace hearth::cli
