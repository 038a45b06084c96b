// Event channels against the bits that Xen's rules set.
#include "xen_fixture.hpp"

namespace framefold {
namespace {

using namespace test;
using ::testing::Values;

class EventChannels : public ::testing::TestWithParam<Width> {
 public:
  XenGuest guest{GetParam()};
  const SharedInfo& shared = guest.shared;
};
INSTANTIATE_TEST_SUITE_P(Widths, EventChannels, Values(Width::k64, Width::k32),
                         [](const auto& info) { return info.param == Width::k64 ? "k64" : "k32"; });

TEST(Abi, LayoutsAreThoseOfThePage) {
  const Abi& wide = abi_of(Width::k64);
  EXPECT_EQ(wide.upcall_pending, 0U);
  EXPECT_EQ(wide.upcall_mask, 1U);
  EXPECT_EQ(wide.pending_sel, 8U);
  EXPECT_EQ(wide.cr2, 16U);
  EXPECT_EQ(wide.evtchn_pending, 2048U);
  EXPECT_EQ(wide.evtchn_mask, 2560U);
  EXPECT_EQ(wide.ports, 4096U);
  const Abi& narrow = abi_of(Width::k32);
  EXPECT_EQ(narrow.upcall_pending, 0U);
  EXPECT_EQ(narrow.upcall_mask, 1U);
  EXPECT_EQ(narrow.pending_sel, 4U);
  EXPECT_EQ(narrow.cr2, 8U);
  EXPECT_EQ(narrow.evtchn_pending, 2048U);
  EXPECT_EQ(narrow.evtchn_mask, 2176U);
  EXPECT_EQ(narrow.ports, 1024U);
}

TEST_P(EventChannels, RaiseSetsPortSelectorAndPending) {
  EXPECT_EQ(raise_event(shared, {70}, 1), Raise::kicked);
  EXPECT_EQ(guest.page[2048 + 8], 0x40);  // port 70
  EXPECT_EQ(shared.pending_sel(), GetParam() == Width::k64 ? 2U : 4U);
  EXPECT_EQ(shared.upcall_pending(), 1);
  EXPECT_EQ(shared.upcall_mask(), 0);
}

TEST_P(EventChannels, MarkSetsTheByteAndNothingElse) {
  for (const std::uint8_t mask : {0, 1}) {
    guest.page.fill(0);
    shared.upcall_mask() = mask;
    EXPECT_EQ(mark_events_pending(shared, 1), Raise::kicked);
    EXPECT_EQ(mark_events_pending(shared, 1), Raise::marked);  // one kick
    auto golden = guest.page;
    golden.fill(0);
    golden[0] = 1;     // evtchn_upcall_pending
    golden[1] = mask;  // evtchn_upcall_mask
    EXPECT_EQ(guest.page, golden);
    EXPECT_EQ(mark_events_pending(shared, 0x80), Raise::marked);
    EXPECT_EQ(shared.upcall_pending(), 0x81);
  }
}

TEST_P(EventChannels, ARaiseBehindAMarkShowsItsPortAndKicksNobody) {
  mark_events_pending(shared, 1);
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::marked);
  EXPECT_TRUE(shared.port_pending({3}));
  EXPECT_EQ(shared.pending_sel(), 1U);
  EXPECT_EQ(shared.upcall_pending(), 1);
}

TEST_P(EventChannels, RaiseDoesNotLookAtTheUpcallMask) {
  shared.upcall_mask() = 1;
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::kicked);
  EXPECT_EQ(shared.upcall_pending(), 1);
}

TEST_P(EventChannels, RaiseOfAPendingPortDoesNothing) {
  shared.set_port_pending({3}, true);
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::nothing);
  EXPECT_EQ(shared.pending_sel(), 0U);
  EXPECT_EQ(shared.upcall_pending(), 0);
}

TEST_P(EventChannels, RaiseOfAMaskedPortOnlySetsItsBit) {
  shared.set_port_masked({3}, true);
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::nothing);
  EXPECT_TRUE(shared.port_pending({3}));
  EXPECT_EQ(shared.pending_sel(), 0U);
  EXPECT_EQ(shared.upcall_pending(), 0);
}

TEST_P(EventChannels, RaiseWithTheSelectorSetDoesNotMarkAgain) {
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::kicked);
  shared.upcall_pending() = 0;  // the guest clears this first
  EXPECT_EQ(raise_event(shared, {4}, 1), Raise::nothing);
  EXPECT_TRUE(shared.port_pending({4}));
  EXPECT_EQ(shared.upcall_pending(), 0);
  EXPECT_EQ(raise_event(shared, {GetParam() == Width::k64 ? 64U : 32U}, 1), Raise::kicked);  // another selector bit
  EXPECT_EQ(shared.pending_sel(), 3U);
}

TEST_P(EventChannels, RaiseOfASecondWordOnlyMarks) {
  EXPECT_EQ(raise_event(shared, {3}, 1), Raise::kicked);
  EXPECT_EQ(raise_event(shared, {100}, 1), Raise::marked);
}

TEST_P(EventChannels, OtherPendingValuesAreOred) {
  shared.upcall_pending() = 0x01;
  EXPECT_EQ(raise_event(shared, {3}, 0x80), Raise::marked);
  EXPECT_EQ(shared.upcall_pending(), 0x81);
}

TEST_P(EventChannels, LastPortHasTheLastSelectorBit) {
  const unsigned ports = abi_of(GetParam()).ports;
  EXPECT_EQ(raise_event(shared, {ports - 1}, 1), Raise::kicked);
  EXPECT_EQ(shared.pending_sel(), std::uint64_t{1} << (GetParam() == Width::k64 ? 63 : 31));
  EXPECT_EQ(guest.page[2048 + ports / 8 - 1], 0x80);
}

TEST_P(EventChannels, UnmaskMarksOnlyWhatWasMaskedAndPending) {
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);  // neither
  shared.set_port_masked({3}, true);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);  // masked
  EXPECT_FALSE(shared.port_masked({3}));
  shared.set_port_pending({3}, true);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);  // pending, but unmasked: the edge is lost
  EXPECT_EQ(shared.upcall_pending(), 0);
  shared.set_port_masked({3}, true);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::kicked);  // both
  EXPECT_FALSE(shared.port_masked({3}));
  EXPECT_TRUE(shared.port_pending({3}));
  EXPECT_EQ(shared.pending_sel(), 1U);
  EXPECT_EQ(shared.upcall_pending(), 1);
}

TEST_P(EventChannels, NoPortIsUnshownThatXenRaised) {
  const SharedInfo& shared = guest.shared;
  EXPECT_EQ(unshown_port(shared, 128), std::nullopt);
  shared.set_port_masked({3}, true);
  raise_event(shared, {3}, 1);
  EXPECT_EQ(unshown_port(shared, 128), std::nullopt);  // the guest does not want to see it
  unmask_port(shared, {3});
  raise_event(shared, {4}, 1);
  raise_event(shared, {127}, 1);
  EXPECT_EQ(unshown_port(shared, 128), std::nullopt);
}

TEST_P(EventChannels, APortIsUnshownWithoutItsSelectorOrThePendingByte) {
  const SharedInfo& shared = guest.shared;
  raise_event(shared, {5}, 1);
  raise_event(shared, {127}, 1);
  const std::uint64_t selector = shared.pending_sel();
  shared.set_pending_sel(selector & ~std::uint64_t{1});
  EXPECT_EQ(unshown_port(shared, 128), Port{5});
  shared.set_pending_sel(1);
  EXPECT_EQ(unshown_port(shared, 128), Port{127});
  EXPECT_EQ(unshown_port(shared, 64), std::nullopt);  // of the ports in use
  shared.set_pending_sel(selector);
  shared.upcall_pending() = 0;
  EXPECT_EQ(unshown_port(shared, 128), Port{5});
}

TEST_P(EventChannels, UnmaskWithTheSelectorSetDoesNotMark) {
  shared.set_port_masked({3}, true);
  shared.set_port_pending({3}, true);
  shared.set_pending_sel(1);
  EXPECT_EQ(unmask_port(shared, {3}), Raise::nothing);
  EXPECT_FALSE(shared.port_masked({3}));
  EXPECT_EQ(shared.upcall_pending(), 0);
}

}  // namespace
}  // namespace framefold
