#include "fetch/blob_transfer.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

constexpr std::chrono::milliseconds kLoopTime{100};
constexpr std::chrono::seconds kSavePause{5};
constexpr std::uint64_t kProgressBytes = 1 << 20;  // makes up for earlier failures
constexpr unsigned kNonsenseRetriesMax = 2;

std::unexpected<Error> nonsense(const ReplyHead& head, std::string_view what) {
    return failed(Failure::BadRegistry, format("{} {}", head.host, what));
}

}  // namespace

BlobTransfer::BlobTransfer(Client& client, Access& access, PartialBlob& blob, Job job)
    : client_(client),
      access_(access),
      blob_(blob),
      job_(std::move(job)),
      slots_(blob.parts().size()) {}

BlobTransfer::~BlobTransfer() { cancel_all(); }

Result<void> BlobTransfer::run() {
    Result<void> result = run_parts();
    cancel_all();
    const Result<void> saved = blob_.save();
    return result ? saved : result;
}

Result<void> BlobTransfer::run_parts() {
    while (true) {
        if (client_.options().stopped()) {
            return failed(Failure::Stopped, "the download was stopped");
        }
        TRY_VOID(start_due());
        if (blob_.done() == blob_.total()) return {};
        for (HttpGet* get : client_.run(kLoopTime)) {
            const auto slot =
                std::ranges::find(slots_, get, [](const Slot& s) { return s.get.get(); });
            // Those of before a start over are gone.
            if (slot == slots_.end()) continue;
            TRY_VOID(settle(static_cast<std::size_t>(slot - slots_.begin())));
        }
        job_.on_progress(blob_.done());
        TRY_VOID(save_when_due());
    }
}

std::size_t BlobTransfer::active() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(slots_, [](const Slot& slot) { return slot.get != nullptr; }));
}

Result<void> BlobTransfer::start_due() {
    std::size_t room = job_.parallel - std::min<std::size_t>(active(), job_.parallel);
    const auto now = Clock::now();
    for (std::size_t part = 0; part < slots_.size() && room > 0; ++part) {
        const Slot& slot = slots_[part];
        if (slot.get || slot.not_before > now || blob_.parts()[part].complete()) continue;
        TRY_VOID(start_part(part));
        --room;
    }
    return {};
}

Result<void> BlobTransfer::start_part(std::size_t index) {
    const Part& part = blob_.parts()[index];
    const bool whole = part.next() == 0 && part.size == blob_.total();
    HttpGet::Request request{.url = job_.url, .bearer = access_.bearer()};
    if (!whole) request.range = format("{}-{}", part.next(), part.last());
    HttpGet::Receiver receiver{
        .on_head = [this, index,
                    whole](const ReplyHead& head) { return accept(index, whole, head); },
        .on_bytes = [this, index](std::string_view bytes) { return take(index, bytes); }};
    Slot& slot = slots_[index];
    slot.done_before = part.done;
    TRY(slot.get,
        HttpGet::make(std::move(request), std::move(receiver), client_.options().insecure));
    client_.start(*slot.get);
    return {};
}

Result<void> BlobTransfer::accept(std::size_t index, bool whole, const ReplyHead& head) {
    const Part& part = blob_.parts()[index];
    if (!whole && head.status == 200) {
        ranges_ignored_ = !ranges_proven_;
        return nonsense(head, "sends the whole file instead of a range");
    }
    if (head.status != (whole ? 200 : 206)) {
        return nonsense(head, format("answered {} to a request for bytes", head.status));
    }
    const std::uint64_t bytes = part.size - part.done;
    if (head.content_length && *head.content_length != bytes) {
        return nonsense(
            head, format("offers {} bytes where {} were announced", *head.content_length, bytes));
    }
    if (whole) return {};
    const auto range = parse_content_range(head.content_range);
    if (!range || range->first != part.next() || range->last != part.last() ||
        range->total.value_or(blob_.total()) != blob_.total()) {
        return nonsense(head, "sends another range than the one asked for");
    }
    ranges_proven_ = true;
    return {};
}

Result<void> BlobTransfer::take(std::size_t index, std::string_view bytes) {
    const Part& part = blob_.parts()[index];
    if (bytes.size() > part.size - part.done) {
        return failed(Failure::BadRegistry, "the server sends more bytes than announced");
    }
    return blob_.write(index, bytes);
}

Result<void> BlobTransfer::settle(std::size_t index) {
    const std::unique_ptr<HttpGet> get = std::move(slots_[index].get);
    const ReplyHead& head = get->head();
    if (ranges_ignored_ && !whole_) {
        whole_ = true;
        cancel_all();
        TRY_VOID(blob_.start_over());
        slots_.clear();
        slots_.resize(blob_.parts().size());
        return {};
    }
    if (!get->outcome()) return retry(index, get->outcome().error(), head, false);
    if (!head.is_success()) {
        const bool challenged = head.status == 401 && !head.redirected;
        if (challenged) TRY_VOID(access_.renew(head));
        return retry(index, refused(head, get->document()).error(), head, challenged);
    }
    if (blob_.parts()[index].complete()) return {};
    return retry(
        index,
        failed(Failure::Unreachable, format("{} closed the connection early", head.host)).error(),
        head, false);
}

Result<void> BlobTransfer::retry(std::size_t index, Error error, const ReplyHead& head,
                                 bool at_once) {
    Slot& slot = slots_[index];
    const Failure failure = failure_of(error);
    // An address that was signed for us may have expired; the registry gives another.
    const bool expired = failure == Failure::Unauthorized && (head.redirected || at_once);
    const bool again =
        failure == Failure::Unreachable || failure == Failure::BadRegistry || expired;
    if (!again) return fail(std::move(error));
    const bool moved = blob_.parts()[index].done - slot.done_before >= kProgressBytes;
    // Without ranges every attempt begins anew: what it brought is no progress.
    slot.failures = moved && !whole_ ? 1 : slot.failures + 1;
    const unsigned retries_max =
        failure == Failure::BadRegistry
            ? std::min(kNonsenseRetriesMax, client_.options().part_retries_max)
            : client_.options().part_retries_max;
    if (slot.failures > retries_max) {
        error.message +=
            format(" ({} attempts); what has come is kept, pull again to go on", slot.failures);
        return fail(std::move(error));
    }
    std::chrono::milliseconds pause = client_.pause_before(slot.failures);
    if (head.retry_after) pause = std::max<std::chrono::milliseconds>(pause, *head.retry_after);
    slot.not_before = at_once ? Clock::now() : Clock::now() + pause;
    return whole_ ? blob_.start_over() : Result<void>();
}

Result<void> BlobTransfer::save_when_due() {
    if (Clock::now() - saved_at_ < kSavePause) return {};
    TRY_VOID(blob_.save());
    saved_at_ = Clock::now();
    return {};
}

void BlobTransfer::cancel_all() {
    for (Slot& slot : slots_) {
        if (slot.get) client_.cancel(*slot.get);
        slot.get.reset();
    }
}

}  // namespace hearth::fetch
