#include "http/idle_connections.h"

#include <utility>

namespace hearth::http {

IdleConnections::~IdleConnections() {
    if (poller_) poller_->remove(*this, -1);
}

std::unique_ptr<ClientSocket> IdleConnections::take() {
    const auto oldest = Clock::now() - limits_.time;
    while (!idle_.empty()) {
        Idle last = std::move(idle_.back());
        idle_.pop_back();
        if (last.since < oldest) {
            idle_.clear();  // the others are older still
            break;
        }
        last.socket->socket().set_leave_hook({});
        if (last.socket->fit_for_reuse()) return std::move(last.socket);
    }
    return nullptr;
}

void IdleConnections::put(std::unique_ptr<ClientSocket> socket) {
    if (limits_.connections_max == 0 || !socket->fit_for_reuse()) return;
    if (!poller_) {
        poller_ = &socket->socket().poller();
        poller_->add(*this);
    }
    if (idle_.size() >= limits_.connections_max) idle_.erase(idle_.begin());
    socket->set_used();
    socket->socket().set_leave_hook(
        {.call = [](void* self) { static_cast<IdleConnections*>(self)->look_at(Clock::now()); },
         .context = this});
    const auto now = Clock::now();
    idle_.push_back({.socket = std::move(socket), .since = now});
    if (deadline == Clock::time_point::max()) look_at(now + limits_.time);
}

void IdleConnections::look_at(Clock::time_point when) {
    if (!poller_ || when >= deadline) return;
    deadline = when;
    poller_->watch(when);
}

void IdleConnections::on_deadline() {
    const auto oldest = Clock::now() - limits_.time;
    std::erase_if(idle_, [oldest](const Idle& idle) {
        return idle.since <= oldest || idle.socket->socket().peer_closed();
    });
    if (!idle_.empty()) look_at(idle_.front().since + limits_.time);
}

}  // namespace hearth::http
