// hearth-corpus: function-sized pieces of real source code, the same on every machine with the same
// files: what the encoder benches embed. Each line of the output is {"text": ..., "tokens": n}; no
// text is longer than the window, so that every server measured does the same work.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <exception>
#include <fstream>
#include <random>
#include <sstream>
#include <unordered_set>

#include "base/format.h"
#include "base/hash.h"
#include "cli/pieces.h"
#include "tokens/tokenizer.h"

namespace hearth::bench {
namespace {

struct Options {
    std::string model;
    std::string out;
    std::vector<std::string> roots;
    std::size_t texts_max = 1'000;
    std::size_t tokens_max = 256;
};

struct Piece {
    std::string text;
    std::size_t tokens = 0;
};

constexpr std::size_t kPieceBytesMin = 24;

// A JSON line must be UTF-8 and a few old files are Latin-1: bytes that are not ASCII become '?'.
std::string to_ascii(std::string text) {
    std::ranges::replace_if(text, [](char c) { return static_cast<signed char>(c) < 0; }, '?');
    return text;
}

// Cuts a text into parts of at most `tokens_max` tokens, special ones included.
void cut_to_window(const tokens::Tokenizer& tokenizer, std::string_view text,
                   std::size_t tokens_max, std::vector<Piece>& out) {
    while (text.size() >= kPieceBytesMin) {
        const tokens::Encoding encoding = tokenizer.encode_with_offsets(text);
        if (encoding.ids.size() <= tokens_max) {
            out.push_back({.text = std::string(text), .tokens = encoding.ids.size()});
            return;
        }
        // One less than would fit: a word cut in two may become one more token.
        const std::size_t end = encoding.offsets[tokens_max - 3].end;
        const std::string_view part = text.substr(0, end);
        std::vector<std::int32_t> ids;
        tokenizer.encode(part, ids);
        if (ids.size() <= tokens_max)
            out.push_back({.text = std::string(part), .tokens = ids.size()});
        text.remove_prefix(end);
    }
}

// Its sequence is fixed by the standard, unlike what std::shuffle makes of it.
template <class T>
void shuffle(std::vector<T>& values) {
    std::mt19937 random(1);
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

std::vector<Piece> collect(const Options& options, const tokens::Tokenizer& tokenizer) {
    std::vector<std::string> sources;
    std::unordered_set<std::string> seen;  // licence texts repeat in every file
    for (const std::string& root : options.roots)
        for (cli::Piece& source : cli::collect_pieces(root, {}))
            if (seen.insert(source.text).second)
                sources.push_back(to_ascii(std::move(source.text)));
    shuffle(sources);
    std::vector<Piece> pieces;
    for (const std::string& source : sources) {
        if (pieces.size() >= options.texts_max) break;
        cut_to_window(tokenizer, source, options.tokens_max, pieces);
    }
    if (pieces.size() > options.texts_max) pieces.resize(options.texts_max);
    shuffle(pieces);
    return pieces;
}

void write_pieces(const Options& options, std::vector<Piece>& pieces) {
    if (pieces.empty()) throw std::runtime_error("no source text found");
    std::ostringstream lines;
    for (const Piece& piece : pieces)
        lines << boost::json::serialize(
                     boost::json::object{{"text", piece.text}, {"tokens", piece.tokens}})
              << '\n';
    const std::string text = lines.str();
    std::ofstream(options.out, std::ios::binary) << text;

    std::ranges::sort(pieces, {}, &Piece::tokens);
    std::size_t total = 0;
    for (const Piece& piece : pieces) total += piece.tokens;
    const auto at = [&](double share) {
        return pieces[static_cast<std::size_t>(share * static_cast<double>(pieces.size() - 1))]
            .tokens;
    };
    std::printf(
        "texts %zu, tokens %zu, mean %.1f, min %zu, p10 %zu, p50 %zu, p90 %zu, max %zu, sha256 "
        "%s\n",
        pieces.size(), total, static_cast<double>(total) / static_cast<double>(pieces.size()),
        pieces.front().tokens, at(0.1), at(0.5), at(0.9), pieces.back().tokens,
        sha256_hex(text).substr(0, 16).c_str());
}

void run(const Options& options) {
    auto tokenizer = tokens::Tokenizer::open(options.model);
    if (!tokenizer) throw std::runtime_error(tokenizer.error().message);
    std::vector<Piece> pieces = collect(options, **tokenizer);
    write_pieces(options, pieces);
}

}  // namespace
}  // namespace hearth::bench

int main(int argc, char** argv) {
    hearth::bench::Options options;
    CLI::App app("hearth-corpus: function-sized pieces of real code, with their token counts");
    app.add_option("--model", options.model, "model folder whose tokenizer counts")->required();
    app.add_option("--out", options.out, "file to write")->required();
    app.add_option("--texts", options.texts_max, "how many");
    app.add_option("--tokens-max", options.tokens_max, "window")->check(CLI::Range(16, 8192));
    app.add_option("roots", options.roots, "folders of source code")->required();
    CLI11_PARSE(app, argc, argv);
    try {
        hearth::bench::run(options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "hearth-corpus: %s\n", error.what());
        return 1;
    }
    return 0;
}
