// TCP for one debugger at a time, on the loopback address only: whoever reaches the port can change the guest.
//
// One that has sent a packet keeps its place, for as long as it likes: who thinks at gdb's prompt sends nothing. Others
// are turned away meanwhile. One that has sent none has to make room, a second after it came, for one that waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "debug/packet.hpp"

namespace framefold {

class Listener;

/// One client. When it disappears or makes room, reads end and writes do nothing.
class Connection {
 public:
  /// `others`: who waits there; must outlive this.
  Connection(int socket, const Listener& others) : socket_(socket), others_(others) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The next packet, acknowledged; waits for it. Damaged ones are asked for again, acknowledgements are taken. An
  /// interrupt is an empty packet's data: "\x03". Nothing when the client is gone.
  std::optional<std::string> receive();
  void send(std::string_view data);
  /// No acknowledgements from here on, in either direction.
  void stop_acknowledging() { acknowledges_ = false; }

 private:
  using Clock = std::chrono::steady_clock;

  bool wait_for_bytes();
  void write(std::string_view bytes);

  int socket_;
  const Listener& others_;
  Clock::time_point came_ = Clock::now();
  bool spoke_ = false;  // it has sent a packet
  bool acknowledges_ = true;
  bool gone_ = false;
  std::string last_;  // sent, in case it is asked for again
  PacketReader reader_;
};

class Listener {
 public:
  /// Port 0: one that is free. Throws InputError where the port cannot be had.
  explicit Listener(std::uint16_t port);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const { return port_; }
  /// Waits for a client; its socket.
  int accept() const;
  /// Tells the client that waits that there is no place for it.
  void turn_away() const;
  int descriptor() const { return socket_; }

 private:
  int socket_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace framefold
