// What the debugger is spoken to with: packets in whatever pieces, and the image in parts.
#include "debug/packet.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "debug/exec_file.hpp"
#include "scenario/mutator.hpp"

namespace framefold {
namespace {

TEST(Packets, ComeInWhateverPieces) {
  const std::string bytes = "+" + packet_of("m100,10") + "-\x03" + packet_of("a}$#*b");
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    PacketReader reader;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      reader.feed(std::string_view(bytes).substr(at, piece));
    }
    EXPECT_EQ(reader.next()->kind, Received::Kind::acknowledged);
    EXPECT_EQ(reader.next()->data, "m100,10");
    EXPECT_EQ(reader.next()->kind, Received::Kind::refused);
    EXPECT_EQ(reader.next()->kind, Received::Kind::interrupt);
    EXPECT_EQ(reader.next()->data, "a}$#*b");
    EXPECT_FALSE(reader.next());
  }
}

TEST(Packets, DamagedOnesAreToldApart) {
  PacketReader reader;
  reader.feed("$g#00");
  EXPECT_EQ(reader.next()->kind, Received::Kind::damaged);
  reader.feed("$g#zz");
  EXPECT_EQ(reader.next()->kind, Received::Kind::damaged);
  reader.feed("$half" + packet_of("g"));  // begins anew
  EXPECT_EQ(reader.next()->data, "g");
  reader.feed("$" + std::string(kMaxPacket + 1, 'x') + "#00");
  EXPECT_EQ(reader.next()->kind, Received::Kind::damaged);
  reader.feed(packet_of("g"));
  EXPECT_EQ(reader.next()->data, "g");
}

TEST(Packets, AnyBytesAreTaken) {
  Random random(1);
  PacketReader reader;
  for (int i = 0; i < 100000; ++i) {
    const char c = static_cast<char>(random.next());
    reader.feed({&c, 1});
    while (reader.next()) {
    }
  }
  reader.feed(packet_of("g"));  // whatever came before
  std::string last;
  while (const std::optional<Received> received = reader.next()) {
    last = received->data;
  }
  EXPECT_EQ(last, "g");
}

TEST(Packets, Digits) {
  EXPECT_EQ(to_hex("\x01\xff"), "01ff");
  EXPECT_EQ(from_hex("01ff"), "\x01\xff");
  EXPECT_EQ(from_hex("1"), std::nullopt);
  EXPECT_EQ(from_hex("+1"), std::nullopt);
  std::string_view text = "1f,3";
  EXPECT_EQ(take_number(text), 0x1f);
  EXPECT_EQ(text, ",3");
  EXPECT_EQ(take_number(text), std::nullopt);
}

TEST(ExecFiles, AreServedInParts) {
  const std::array<std::uint8_t, 5> bytes = {'$', '}', 'e', 'l', 'f'};
  const ExecFile file("x.elf", bytes);
  EXPECT_EQ(file.answer("open:" + to_hex("/x.elf") + ",0,0"), "F5");
  EXPECT_EQ(file.answer("open:" + to_hex("/etc/passwd") + ",0,0"), "F-1,2");
  EXPECT_EQ(file.answer("pread:5,3,1"), "F3;}el");
  EXPECT_EQ(file.answer("pread:5,100,4"), "F1;f");
  EXPECT_EQ(file.answer("pread:5,100,100"), "F0;");
  EXPECT_EQ(file.answer("pread:5,x"), "F-1,16");
  EXPECT_EQ(file.answer("pread:6,1,1"), "F-1,9");
  EXPECT_EQ(file.answer("fstat:5").size(), 4U + 64U);
  EXPECT_EQ(file.answer("unlink:00"), "");
}

}  // namespace
}  // namespace framefold
