#include "http/socket.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <utility>

#include "base/error.h"

namespace asio = boost::asio;

namespace hearth::http {

void Pieces::take(std::size_t size) {
    std::size_t done = 0;
    while (done < count_ && size >= pieces_[done].size()) size -= pieces_[done++].size();
    for (std::size_t i = done; i < count_; ++i) pieces_[i - done] = pieces_[i];
    count_ -= done;
    if (count_ > 0) pieces_[0].remove_prefix(size);
}

Socket::Socket(Poller& poller, UniqueFd fd, State state)
    : poller_(poller),
      fd_(std::move(fd)),
      readable_(state == State::Connected),
      writable_(state == State::Connected) {
    registered_ = poller_.add(*this, fd_.value(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

Socket::~Socket() {
    if (registered_) poller_.remove(*this, fd_.value());
}

Socket::Read Socket::read(char* to, std::size_t size) {
    for (;;) {
        const ssize_t got = ::recv(fd_.value(), to, size, 0);
        if (got > 0) {
            // Edge-triggered: a short read means drained (epoll(7)), unless the end is already
            // known.
            if (std::size_t(got) < size) readable_ = peer_closed();
            return {.io = Io::Some, .size = std::size_t(got)};
        }
        if (got == 0) {
            peer_closed_ = true;
            return {.io = Io::End};
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            readable_ = false;
            return {.io = Io::WouldBlock};
        }
        broken_ = true;
        return {.io = Io::Failed};
    }
}

Socket::Io Socket::write(Pieces& pieces) {
    while (!pieces.empty()) {
        ssize_t sent = 0;
        if (pieces.size() == 1) {
            sent = ::send(fd_.value(), pieces[0].data(), pieces[0].size(), MSG_NOSIGNAL);
        } else {
            std::array<iovec, 4> parts;
            for (std::size_t i = 0; i < pieces.size(); ++i) {
                parts[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
            }
            msghdr message{};
            message.msg_iov = parts.data();
            message.msg_iovlen = pieces.size();
            sent = ::sendmsg(fd_.value(), &message, MSG_NOSIGNAL);
        }
        if (sent >= 0) {
            pieces.take(std::size_t(sent));
            continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) {
            writable_ = false;
            return Io::WouldBlock;
        }
        broken_ = true;
        return Io::Failed;
    }
    return Io::Some;
}

int Socket::unsent() const {
    int size = 0;
    return ::ioctl(fd_.value(), SIOCOUTQ, &size) == 0 ? size : 0;
}

asio::awaitable<Wake> Socket::wait(Interest interest, Clock::time_point until) {
    return asio::async_initiate<const asio::use_awaitable_t<>&, void(Wake)>(
        [](Handler handler, Socket* self, Interest what, Clock::time_point when) {
            self->begin_wait(std::move(handler), what, when);
        },
        asio::use_awaitable, this, interest, until);
}

void Socket::begin_wait(Handler handler, Interest interest, Clock::time_point until) {
    CHECK(!waiter_);
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
        slot.assign([this](asio::cancellation_type) { wake_later(Wake::Cancelled); });
    }
    waiter_.emplace(std::move(handler));
    interest_ = interest;
    if (interest == kRead ? readable_ : writable_) {
        wake_later(Wake::Ready);
        return;
    }
    deadline = until;
    poller_.watch(until);
}

void Socket::on_events(std::uint32_t events) {
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) readable_ = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) writable_ = true;
    if (events & EPOLLRDHUP) peer_closed_ = true;
    if (events & (EPOLLHUP | EPOLLERR)) broken_ = true;
    if (hook_.call && peer_closed()) {
        const LeaveHook hook = std::exchange(hook_, {});
        hook.call(hook.context);
    }
    if (!waiter_ || !(interest_ == kRead ? readable_ : writable_)) return;
    deadline = Clock::time_point::max();
    Handler handler = std::move(*waiter_);
    waiter_.reset();
    std::move(handler)(Wake::Ready);  // may destroy this socket
}

void Socket::on_deadline() { wake_later(Wake::TimedOut); }

void Socket::on_shutdown() {
    registered_ = false;
    // Destroying the handler destroys the coroutine that waits, and most likely this socket.
    std::optional<Handler> waiter = std::move(waiter_);
    waiter_.reset();
}

// Posted, not called: the caller may be in the middle of anything.
void Socket::wake_later(Wake wake) {
    if (!waiter_) return;
    deadline = Clock::time_point::max();
    asio::post(poller_.io(),
               [handler = std::move(*waiter_), wake]() mutable { std::move(handler)(wake); });
    waiter_.reset();
}

void Socket::reset_on_close() {
    const linger abort{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_.value(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

}  // namespace hearth::http
