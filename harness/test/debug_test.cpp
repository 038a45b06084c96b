// The debugger: the real gdb in batch mode, and clients that misbehave.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "debug/packet.hpp"
#include "scenario/mutator.hpp"
#include "test/shell.hpp"

namespace framefold {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

/// `framefold debug` on a free port.
class Debugged {
 public:
  explicit Debugged(const std::string& scenario, bool reference = false) {
    std::array<int, 2> out{};
    EXPECT_EQ(::pipe(out.data()), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::close(out[0]);
      ::execl(FRAMEFOLD_BINARY, "framefold", "debug", "--gdb=0", scenario.c_str(), reference ? "--reference" : nullptr,
              nullptr);
      ::_exit(127);
    }
    ::close(out[1]);
    std::string line;
    for (char c = 0; ::read(out[0], &c, 1) == 1 && c != '\n';) {
      line += c;
    }
    ::close(out[0]);
    const std::size_t colon = line.rfind(':');
    port_ = colon == std::string::npos ? 0 : std::atoi(line.c_str() + colon + 1);
  }
  ~Debugged() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      wait();
    }
  }
  Debugged(const Debugged&) = delete;
  Debugged& operator=(const Debugged&) = delete;

  int port() const { return port_; }
  /// Its exit status; -1 where it did not exit.
  int wait() {
    int state = 0;
    ::waitpid(child_, &state, 0);
    child_ = -1;
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
  }

 private:
  pid_t child_ = -1;
  int port_ = 0;
};

/// What gdb prints for these commands, once it is attached.
std::string gdb(int port, const std::vector<std::string>& commands) {
  std::string line = fmt::format("gdb -nx -batch -ex 'set confirm off' -ex 'target remote 127.0.0.1:{}'", port);
  for (const std::string& command : commands) {
    line += fmt::format(" -ex '{}'", command);
  }
  return test::run_in_shell(line).text;
}

std::string reproducer(const std::string& name) { return std::string(FRAMEFOLD_REPRODUCERS) + "/" + name; }

const std::string k64 = reproducer("minios-x86_64-table/nmi-masked-scrit.toml");
const std::string k32 = reproducer("xenlinux-x86_32-table/handler-frame-hypervisor_callback.toml");

class Gdb : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v gdb >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "no gdb here";
    }
  }
};

TEST_F(Gdb, AttachesAndKnowsSymbols) {
  Debugged debugged(k64);
  const std::string out = gdb(debugged.port(), {"info registers rip", "info symbol $rip", "x/i $pc", "detach"});
  EXPECT_THAT(out, AllOf(ContainsRegex("rip +0x[0-9a-f]+ +0x[0-9a-f]+ <nmi>"), HasSubstr("nmi in section .text"),
                         HasSubstr("mov    (%rsp),%rcx"), HasSubstr("detached")));
  EXPECT_EQ(debugged.wait(), 0);
}

TEST_F(Gdb, BreaksStepsAndGoesBack) {
  Debugged debugged(k64);
  const std::string out = gdb(
      debugged.port(), {"break scrit",   "continue",         "echo at1:",        "monitor where", "stepi",
                        "echo at2:",     "monitor where",    "reverse-stepi",    "echo at3:",     "monitor where",
                        "reverse-stepi", "echo at4:",        "monitor where",    "continue",      "continue",
                        "echo at5:",     "monitor where",    "reverse-continue", "echo at6:",     "monitor where",
                        "delete",        "break *0x100000",  "continue",         "echo at7:",     "monitor where",
                        "delete",        "reverse-continue", "echo at8:",        "monitor where", "monitor goto 100",
                        "continue",      "echo at9:",        "monitor where",    "detach"});
  EXPECT_THAT(out, AllOf(HasSubstr("at1:step 39: scrit: "), HasSubstr("at2:step 40: scrit+0x3: "),
                         HasSubstr("at3:step 39: scrit: "), HasSubstr("at4:step 38: error_exit+0x23: ")));
  EXPECT_THAT(out, AllOf(HasSubstr("at5:step 200: scrit: "), HasSubstr("at6:step 39: scrit: "),
                         HasSubstr("at7:step 62: hypervisor_callback: "), HasSubstr("at8:step 1: nmi: "),
                         HasSubstr("at9:step 100: ")));
  EXPECT_THAT(out, HasSubstr("minios-x86_64-table.S"));  // the image's line table
  EXPECT_EQ(debugged.wait(), 0);
}

TEST_F(Gdb, ContinuesToTheNextDeliveryAndToTheEnd) {
  Debugged debugged(k64);
  const std::string out =
      gdb(debugged.port(), {"monitor next-delivery", "continue", "echo at1:", "monitor where", "continue",
                            "echo at2:", "monitor where", "reverse-stepi", "echo at3:", "monitor where", "detach"});
  EXPECT_THAT(out,
              AllOf(HasSubstr("at1:step 62: hypervisor_callback"), HasSubstr("at2:the end: the context has resumed"),
                    ContainsRegex("at3:step [0-9]+: scrit\\+0x78: iretq")));
}

TEST_F(Gdb, WritesRegistersAndMemoryThatStayOnTheWayBack) {
  Debugged debugged(k64);
  const std::string out =
      gdb(debugged.port(), {"break scrit",   "continue",      "set $rbx = 0x1234", "set *(long*)($rsp + 8) = 0x5678",
                            "stepi",         "stepi",         "echo at1:",         "p/x $rbx",
                            "reverse-stepi", "echo at2:",     "p/x $rbx",          "p/x *(long*)($rsp + 8)",
                            "reverse-stepi", "reverse-stepi", "echo at3:",         "p/x $rbx",
                            "continue",      "echo at4:",     "p/x $rbx",          "detach"});
  EXPECT_THAT(
      out,
      AllOf(ContainsRegex("at1:\\$[0-9]+ = 0x1234"), ContainsRegex("at2:\\$[0-9]+ = 0x1234\n\\$[0-9]+ = 0x5678"),
            ContainsRegex("at3:\\$[0-9]+ = 0x8373635343332313"), ContainsRegex("at4:\\$[0-9]+ = 0x8373635343332313")));
}

TEST_F(Gdb, GoesOnFromAWrittenProgramCounter) {
  Debugged debugged(k64);
  const std::string out =
      gdb(debugged.port(), {"break scrit", "continue", "set $rip = exit_as_is", "echo at0:", "monitor where", "stepi",
                            "echo at1:", "info symbol $rip", "reverse-stepi", "echo at2:", "info symbol $rip",
                            "echo at3:", "monitor where", "detach"});
  EXPECT_THAT(out, AllOf(HasSubstr("at0:step 39: ecrit: movq (%rsp), %r15"), HasSubstr("at1:exit_as_is + 4 in section"),
                         HasSubstr("at2:exit_as_is in section"), HasSubstr("at3:step 40: ecrit: ")));
}

TEST_F(Gdb, StandsWhereAWrittenProgramCounterLeadsNowhere) {
  Debugged debugged(k64);
  const std::string out =
      gdb(debugged.port(), {"break scrit", "continue", "set $rip = 0x10", "stepi", "echo at1:", "p/x $rip",
                            "monitor where", "reverse-continue", "echo at2:", "monitor where", "kill"});
  EXPECT_THAT(out, AllOf(ContainsRegex("at1:\\$[0-9]+ = 0x10"), HasSubstr("the end: the run cannot go on"),
                         HasSubstr("at2:step 39: 0x10: ")));  // as it was written there
  EXPECT_EQ(debugged.wait(), 0);
}

TEST_F(Gdb, Knows32BitGuests) {
  Debugged debugged(k32);
  const std::string out =
      gdb(debugged.port(), {"info registers", "x/2i $pc", "break critical_region_fixup", "continue",
                            "echo at1:", "info symbol $eip", "stepi", "reverse-stepi", "echo at2:", "info symbol $eip",
                            "set $ebx = 7", "stepi", "p/x $ebx", "x/4xw $esp", "detach"});
  EXPECT_THAT(
      out, AllOf(ContainsRegex("eip +0x[0-9a-f]+ +0x[0-9a-f]+ <hypervisor_callback>"), HasSubstr("gs "),
                 HasSubstr("at1:critical_region_fixup in section"), HasSubstr("at2:critical_region_fixup in section"),
                 HasSubstr("= 0x7"), Not(HasSubstr("Cannot access memory"))));
}

TEST_F(Gdb, WritesSelectorsThatTheGuestCouldLoad) {
  Debugged debugged(k32);
  const std::string out =
      gdb(debugged.port(), {"break critical_region_fixup", "continue", "set $es = 0", "stepi", "echo at1:", "p/x $es",
                            "reverse-stepi", "stepi", "echo at2:", "p/x $es", "set $ds = 0x1234", "set $cs = 0",
                            "echo at3:", "p/x $ds == 0x1234", "echo at4:", "p/x $cs == 0", "detach"});
  EXPECT_THAT(
      out, AllOf(ContainsRegex("at1:\\$[0-9]+ = 0x0"), ContainsRegex("at2:\\$[0-9]+ = 0x0"),
                 HasSubstr("Could not write register \"ds\"; remote failure reply \'E.the guest could not load that\'"),
                 HasSubstr("Could not write register \"cs\""), ContainsRegex("at3:\\$[0-9]+ = 0x0"),
                 ContainsRegex("at4:\\$[0-9]+ = 0x0")));
}

/// The handler gets a frame that does not show what was interrupted, and hardware would not care.
TEST_F(Gdb, GoesOnFromAWriteAtTheFirstStop) {
  struct Case {
    std::string file;
    const char* write;
    const char* name;
  };
  const std::string resumes32 = reproducer("linux-x86_32-2007/early-delivery-xen_iret_start_crit.toml");
  for (const Case& c : {Case{k64, "set $rbx = 1", "rbx"}, Case{resumes32, "set $ebx = 1", "ebx"}}) {
    Debugged debugged(c.file);
    const std::string out =
        gdb(debugged.port(), {c.write, "stepi", "echo at1:", "continue", "echo at2:", "monitor where",
                              "reverse-continue", "echo at3:", "monitor where", "detach"});
    SCOPED_TRACE(out);
    EXPECT_THAT(out, HasSubstr(fmt::format("framefold: {} at step 1 written: the run goes on", c.name)));
    EXPECT_THAT(out, AllOf(HasSubstr("at1:"), HasSubstr("at2:the end: the context has resumed"),
                           HasSubstr(fmt::format("no verdict on this run: {} at step 1 was written", c.name)),
                           HasSubstr("broken in it: handler-frame: "), HasSubstr("at3:step 1: ")));
    EXPECT_EQ(debugged.wait(), 0);
  }
}

/// Flags are written by way of a redirected run, which has to be the same when it is repeated.
TEST_F(Gdb, RepeatsARunWithItsWrites) {
  Debugged debugged(k64);
  const std::string out = gdb(
      debugged.port(), {"set $eflags = 0x246", "set $r15 = 0x77", "continue", "reverse-continue",
                        "echo at1:", "p/x $eflags", "p/x $r15", "continue", "reverse-continue", "continue", "detach"});
  SCOPED_TRACE(out);
  EXPECT_THAT(out, ContainsRegex("at1:\\$[0-9]+ = 0x246\n\\$[0-9]+ = 0x77\n"));
  std::vector<std::string> ends;
  for (std::size_t at = 0; (at = out.find("the end: ", at)) != std::string::npos; ++at) {
    ends.push_back(out.substr(at, out.find("the scenario as it stands", at) - at));
  }
  ASSERT_EQ(ends.size(), 3U);
  EXPECT_THAT(ends[0], AllOf(HasSubstr("context has resumed"), HasSubstr("handler-frame: r15: "),
                             Not(HasSubstr("mismatch: rcx"))));
  EXPECT_EQ(ends[1], ends[0]);
  EXPECT_EQ(ends[2], ends[0]);
}

/// Where the run goes on from a wrong frame, what ends it is said, not the frame.
TEST_F(Gdb, SaysWhatEndsARunThatGoesOn) {
  Debugged debugged(k32);
  EXPECT_THAT(gdb(debugged.port(), {"set $eax = 1", "continue", "detach"}),
              AllOf(HasSubstr("the end: the run cannot go on: guest-fault: "),
                    HasSubstr("broken in it: handler-frame: "), HasSubstr("broken in it: guest-fault: ")));
}

TEST_F(Gdb, SaysAtTheEndWhatTheScenarioShows) {
  for (const bool reference : {false, true}) {
    Debugged debugged(k64, reference);
    const std::string out = gdb(debugged.port(), {"continue", "echo at1:", "monitor where", "detach"});
    SCOPED_TRACE(out);
    const std::string verdict =
        "the end: the context has resumed\n(known: [^\n]*\n)*known: "
        "minios-x86_64-table:nmi-masked:scrit\\+0x82: the context resumes with NMIs masked";
    EXPECT_THAT(out, AllOf(ContainsRegex(verdict), ContainsRegex("at1:" + verdict), Not(HasSubstr("clean"))));
  }
  Debugged ended(k32);
  EXPECT_THAT(
      gdb(ended.port(), {"continue", "detach"}),
      AllOf(HasSubstr("the end: nothing behind this is judged: handler-frame: ebx: expected 0x43332313, found "),
            HasSubstr("known: xenlinux-x86_32-table:handler-frame:hypervisor_callback: a handler gets")));
}

/// The call is done: registers, stack and place are those of the handler's first instruction.
TEST_F(Gdb, StandsAtTheHandlerWhereItsFrameEndsTheRun) {
  Debugged debugged(k32);
  const std::string out = gdb(debugged.port(), {"continue", "echo at1:", "p $eip == evtchn_do_upcall",
                                                "echo at2:", "info symbol *(unsigned*)$esp", "set $eax = 1",
                                                "reverse-stepi", "echo at3:", "x/i $eip", "detach"});
  SCOPED_TRACE(out);
  EXPECT_THAT(out, AllOf(ContainsRegex("at1:\\$[0-9]+ = 1\n"), HasSubstr("at2:hypervisor_callback + "),
                         HasSubstr("E.the run has ended; reverse-stepi"), ContainsRegex("at3:[^\n]*call ")));
}

TEST_F(Gdb, SaysAtTheEndThatNothingIsWrong) {
  std::string name = testing::TempDir() + "framefold-debug-XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const std::string file = name + "/clean.toml";
  std::ofstream(file) << "entry = \"minios-x86_64-fixed\"\n[[arrival]]\nkind = \"event\"\ndistance = 5\n";
  Debugged debugged(file);
  std::filesystem::remove_all(name);
  EXPECT_THAT(gdb(debugged.port(), {"continue", "detach"}),
              AllOf(HasSubstr("the end: the context has resumed\nclean: every promise was kept\n"),
                    Not(HasSubstr("known:")), Not(HasSubstr("violation:"))));
}

TEST_F(Gdb, DebugsTheReferenceRun) {
  Debugged debugged(k64, true);
  const std::string out = gdb(debugged.port(), {"break scrit", "continue", "monitor next-delivery", "delete",
                                                "continue", "echo at1:", "monitor where", "detach"});
  EXPECT_THAT(out, HasSubstr("at1:step 68: hypervisor_callback"));  // when the context has resumed
}

int connect_to(int port, std::uint32_t address = INADDR_LOOPBACK) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<std::uint16_t>(port));
  peer.sin_addr.s_addr = htonl(address);
  if (::connect(socket, reinterpret_cast<sockaddr*>(&peer), sizeof peer) != 0) {
    ::close(socket);
    return -1;
  }
  return socket;
}

void say(int socket, const std::string& bytes) { ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

/// The next packet's contents.
std::string hear(int socket) {
  std::string all;
  for (char c = 0; ::recv(socket, &c, 1, 0) == 1;) {
    all += c;
    const std::size_t end = all.find('#');
    if (end != std::string::npos && all.size() == end + 3) {
      return all.substr(all.find('$') + 1, end - all.find('$') - 1);
    }
  }
  return all;
}

TEST(DebugClients, MayDisappearAndSendGarbage) {
  Debugged debugged(k64);
  Random random(7);
  for (int client = 0; client < 20; ++client) {
    const int socket = connect_to(debugged.port());
    ASSERT_GE(socket, 0);
    std::string garbage = client % 4 == 0 ? "$g#6" : "";  // half a packet
    for (std::uint64_t i = random.below(300); client % 4 == 1 && i > 0; --i) {
      garbage += static_cast<char>(random.next());
    }
    if (client % 4 == 2) {
      garbage = packet_of("c") + packet_of("bc") + packet_of("s");  // goes away while the run goes on
    } else if (client % 4 == 3) {
      for (const char* request : {"m",
                                  "mzz,1",
                                  "m0,ffffffffffffffff",
                                  "M0,1:zz",
                                  "P",
                                  "P0",
                                  "Pff=00",
                                  "G00",
                                  "p99",
                                  "Z9,0,0",
                                  "z0",
                                  "Z0,",
                                  "vCont;",
                                  "vCont;q",
                                  "vFile:",
                                  "qXfer:features:read:target.xml:x",
                                  "qRcmd,zz",
                                  "qRcmd,",
                                  "b",
                                  "bx",
                                  "q",
                                  "",
                                  "\x7f"}) {
        garbage += packet_of(request);
      }
    }
    say(socket, garbage);
    ::close(socket);
  }
  const int socket = connect_to(debugged.port());
  ASSERT_GE(socket, 0);
  say(socket, packet_of("?"));
  EXPECT_EQ(hear(socket), "T05thread:1;");
  say(socket, packet_of("k"));
  EXPECT_EQ(debugged.wait(), 0);
  ::close(socket);
}

/// One that says nothing, or nothing that means anything, makes room; one that has spoken keeps its place.
TEST(DebugClients, DoNotBlockOthers) {
  Debugged debugged(k64);
  for (const char* said : {"", "garbage"}) {
    const int silent = connect_to(debugged.port());
    ASSERT_GE(silent, 0);
    say(silent, said);
    const int second = connect_to(debugged.port());
    ASSERT_GE(second, 0);
    say(second, packet_of("?"));
    EXPECT_EQ(hear(second), "T05thread:1;");
    EXPECT_EQ(hear(silent), "");
    const int third = connect_to(debugged.port());
    ASSERT_GE(third, 0);
    EXPECT_EQ(hear(third), "");  // turned away
    say(second, packet_of("?"));
    EXPECT_EQ(hear(second), "T05thread:1;");
    for (const int socket : {silent, second, third}) {
      ::close(socket);
    }
  }
}

TEST(DebugClients, BadRequestsAreAnsweredAsSuch) {
  Debugged debugged(k64);
  const int socket = connect_to(debugged.port());
  const auto ask = [socket](const std::string& request) {
    say(socket, packet_of(request));
    return hear(socket);
  };
  EXPECT_EQ(ask("mzz,1"), "E16");
  EXPECT_EQ(ask("m0,10"), "E0e");
  EXPECT_EQ(ask("M0,1:00"), "E0e");
  EXPECT_EQ(ask("M0,2:00"), "E16");                                           // one byte of two
  EXPECT_EQ(ask("M100000,1:90"), "E0e");                                      // text
  EXPECT_EQ(ask("P12=0000000000000000"), "E.the guest could not load that");  // CS
  EXPECT_EQ(ask("P12=zz"), "E16");
  EXPECT_EQ(ask("P99=0000000000000000"), "E16");
  EXPECT_EQ(ask("p99"), "xxxxxxxx");
  EXPECT_EQ(ask("vCont;"), "");
  EXPECT_EQ(ask("bx"), "");
  EXPECT_EQ(ask("Z2,100000,8"), "");  // a watchpoint
  EXPECT_EQ(ask("g").size(), 2U * (17 * 8 + 7 * 4));
  EXPECT_EQ(ask("bs"), "T05thread:1;replaylog:begin;");
  for (const char* on : {"c", "s"}) {
    EXPECT_EQ(ask(on).front(), 'O');  // on the console, what the scenario shows
    EXPECT_EQ(hear(socket), "T05thread:1;replaylog:end;");
  }
  EXPECT_EQ(ask("D"), "OK");
  EXPECT_EQ(debugged.wait(), 0);
  ::close(socket);
}

TEST(DebugClients, ReachItOnLoopbackOnly) {
  Debugged debugged(k64);
  std::ifstream table("/proc/net/tcp");
  const std::string port = fmt::format(":{:04X} ", debugged.port());
  bool listening = false;
  for (std::string line; std::getline(table, line);) {
    if (line.find(port + "00000000:0000") != std::string::npos) {
      listening = true;
      EXPECT_THAT(line, HasSubstr("0100007F" + port));
    }
  }
  EXPECT_TRUE(listening);
}

}  // namespace
}  // namespace framefold
