// Xen's public headers, in the order and with the interface version that they need. Every constant and layout that they
// define is taken from them.
#pragma once

// clang-format off
#include <cstddef>
#include <cstdint>

#include <xen/xen.h>              // before the foreign headers, or evtchn_upcall_mask becomes padding
#include <xen/event_channel.h>
#include <xen/foreign/x86_32.h>   // the 32-bit layout beside the native one
// clang-format on

// The default version, 0, gives the hypercall numbers of 2005 (xen/xen-compat.h).
static_assert(__XEN_INTERFACE_VERSION__ == 0x00040e00);
