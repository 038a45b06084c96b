#include "debug/connection.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "image/description.hpp"
#include "machine/internal_error.hpp"

namespace framefold {

namespace {

constexpr int kWaiting = 8;                          // clients that wait for their turn
constexpr std::chrono::milliseconds kSilence{1000};  // of a client that others wait behind, before it speaks
constexpr int kMostRefusals = 8;                     // of one packet in a row: then nobody there speaks the protocol

}  // namespace

Connection::~Connection() { ::close(socket_); }

std::optional<std::string> Connection::receive() {
  int refusals = 0;
  while (!gone_) {
    while (std::optional<Received> received = reader_.next()) {
      switch (received->kind) {
        case Received::Kind::packet:
          spoke_ = true;
          if (acknowledges_) {
            write("+");
          }
          return received->data;
        case Received::Kind::interrupt:
          return std::string(1, '\x03');
        case Received::Kind::damaged:
          write("-");
          break;
        case Received::Kind::refused:
          if (++refusals <= kMostRefusals) {
            write(last_);
          }
          break;
        case Received::Kind::acknowledged:
          break;
      }
    }
    if (!wait_for_bytes()) {
      gone_ = true;
      break;
    }
    std::array<char, 4096> bytes{};
    const ssize_t count = ::recv(socket_, bytes.data(), bytes.size(), 0);
    if (count > 0) {
      reader_.feed({bytes.data(), static_cast<std::size_t>(count)});
    } else if (count == 0 || errno != EINTR) {
      gone_ = true;
    }
  }
  return std::nullopt;
}

/// False where it has to make room.
bool Connection::wait_for_bytes() {
  bool other_waits = false;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(came_ + kSilence - Clock::now()).count();
    std::array<pollfd, 2> watched{
        {{socket_, POLLIN, 0}, {other_waits ? -1 : others_.descriptor(), POLLIN, 0}}};  // -1: not watched
    const int ready =
        ::poll(watched.data(), watched.size(), other_waits ? static_cast<int>(std::max<std::int64_t>(left, 0)) : -1);
    if (ready < 0 && errno != EINTR) {
      throw InternalError(fmt::format("poll: {}", std::strerror(errno)));
    }
    if (ready < 0) {
      continue;
    }
    const bool comes = watched[1].revents != 0;
    if (comes && spoke_) {
      others_.turn_away();
    } else if ((comes || other_waits) && left <= 0) {
      return false;
    }
    if (watched[0].revents != 0) {
      return true;
    }
    other_waits = other_waits || (comes && !spoke_);
  }
}

void Connection::send(std::string_view data) {
  last_ = packet_of(data);
  write(last_);
}

void Connection::write(std::string_view bytes) {
  while (!gone_ && !bytes.empty()) {
    const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      gone_ = true;
    }
  }
}

Listener::Listener(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);  // the API's own idiom
  ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (socket_ < 0 || ::bind(socket_, any, size) != 0 || ::listen(socket_, kWaiting) != 0 ||
      ::getsockname(socket_, any, &size) != 0) {
    const int reason = errno;
    ::close(socket_);
    throw InputError(
        fmt::format("--gdb: expected a port that can be listened on, not {}: {}", port, std::strerror(reason)));
  }
  port_ = ntohs(address.sin_port);
}

Listener::~Listener() { ::close(socket_); }

void Listener::turn_away() const {
  ::close(accept());
  std::fputs("framefold: turned a second debugger away: one is attached\n", stderr);
}

int Listener::accept() const {
  while (true) {
    const int client = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client >= 0) {
      const int on = 1;
      ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return client;
    }
    if (errno != EINTR && errno != ECONNABORTED) {
      throw InternalError(fmt::format("accept: {}", std::strerror(errno)));
    }
  }
}

}  // namespace framefold
