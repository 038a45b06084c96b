// TCP for one debugger at a time, on the loopback address only: whoever reaches the port can change the guest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "debug/packet.hpp"

namespace framefold {

/// One client. When it disappears, reads end and writes do nothing.
class Connection {
 public:
  explicit Connection(int socket) : socket_(socket) {}
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
  void write(std::string_view bytes);

  int socket_;
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
  int accept();

 private:
  int socket_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace framefold
