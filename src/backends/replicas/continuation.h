#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "inference/generate.h"

namespace hearth::replicas {

// What a caller has of an answer: where it breaks off, another server is asked for the rest, with
// the text so far as its beginning, and the caller sees one answer. Text alone is continued, of an
// answer without a schema, without thinking aloud and without calls of tools. One per call.
class Continuation final : public inference::Sink {
  public:
    static constexpr std::size_t kTextBytesMax = 1 << 20;  // longer answers are not continued

    // Both must outlive it.
    Continuation(const inference::GenerateRequest& request, inference::Sink& next);

    // The call to be made now: the caller's own, or one for what is missing.
    inference::GenerateRequest next_call();
    // The part in hand has failed. True where another may go on.
    bool may_go_on(const Error& error);
    // The failure that broke the answer off: the caller's, whatever those say who cannot go on.
    const std::optional<Error>& broken() const { return broken_; }
    // How often another was asked to go on.
    std::size_t continuations() const { return continuations_; }
    // What the server that ended the answer counted, made that of the whole answer: the pieces of
    // the parts before are tokens of the answer, which it took for a part of the prompt.
    void make_whole(inference::Usage& usage) const;

    // What other servers than the first say of themselves stays here.
    void begin(inference::Origin origin) override;
    Awaitable<Result<void>> push(boost::json::object event) override;
    Awaitable<Result<void>> alive() override;
    // What can be gone on with need not be made again.
    bool shows_at_once() const override { return continuable_ || next_.shows_at_once(); }
    void first_word() override { next_.first_word(); }

  private:
    void note(const boost::json::object& event);
    void note_choice(const boost::json::object& choice);
    void add_text(const boost::json::object& from, std::string_view key);
    void give_first_head(boost::json::object& event) const;
    void count_whole(boost::json::object& event) const;

    const inference::GenerateRequest& request_;
    inference::Sink& next_;
    boost::json::object head_;  // of the first event: what all of one answer have in common
    std::string text_;
    std::uint64_t pieces_ = 0;   // of the text; most servers send one for each token
    std::uint64_t earlier_ = 0;  // of them, those of the parts before the one in hand
    inference::Usage first_;     // what the first server said before it broke off
    bool continuable_;
    bool begun_ = false;
    std::size_t continuations_ = 0;
    std::optional<Error> broken_;
};

}  // namespace hearth::replicas
