#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backends/remote/event_splitter.h"
#include "backends/remote/upstream.h"
#include "backends/remote/wire.h"
#include "base/error.h"
#include "http/client.h"
#include "inference/generate.h"
#include "runtime/awaitable.h"

namespace hearth::remote {

// One answer on its way from a server elsewhere to a sink. Shard-local, for one call.
class RemoteAnswer {
  public:
    // `original`: whose words the answer keeps; null: it is translated. All must outlive it.
    RemoteAnswer(const Upstream& upstream, Upstream::Visit& visit,
                 const inference::GenerateRequest& request, const inference::Original* original,
                 inference::Sink& sink);

    Result<void> head(const http::Reply& reply);
    Awaitable<Result<void>> body(std::string_view bytes);
    // All has come. Errors: the upstream's refusal, what it told inside, a stream that was cut.
    Awaitable<Result<void>> finish();

    // Bounds the silence before the first token and between pieces.
    http::MovingLimit& limit() { return limit_; }
    int status() const { return status_; }
    // The protocol's own end has come and was passed on: whatever becomes of the connection after
    // it is no matter of the caller's.
    bool complete() const { return status_ == 200 && is_stream() && stream_->complete(); }
    // The caller's side failed, not the server's.
    bool sink_failed() const { return sink_failed_; }
    const inference::Usage& usage() const { return usage_; }

  private:
    bool is_stream() const { return original_ == nullptr || original_->stream; }
    Awaitable<Result<void>> pass_on(std::string_view bytes);
    Awaitable<Result<void>> pass_events(std::string_view bytes);
    Awaitable<Result<void>> relay_events(std::string_view bytes);
    Awaitable<Result<void>> relay(std::string_view bytes, bool says);
    Awaitable<Result<void>> relay_last(std::string line);
    Awaitable<Result<void>> tell_alive();
    void heard(bool said_something);

    const Upstream& upstream_;
    Upstream::Visit& visit_;
    inference::Sink& sink_;
    const inference::Original* const original_;
    const std::unique_ptr<WireStream> stream_;
    EventSplitter splitter_;
    http::MovingLimit limit_;
    http::Headers headers_;
    std::string kept_;  // a refusal, or a whole answer
    int status_ = 0;
    bool said_something_ = false;
    bool sink_failed_ = false;
    inference::Usage usage_;
};

}  // namespace hearth::remote
