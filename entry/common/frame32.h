/*
 * The stack frame of Mini-OS i386 and XenLinux i386. What a handler gets, from the stack pointer upwards:
 *
 *    offset  word      stored by
 *    ------  --------  -----------------------------------------------------------------------------------------------
 *      0x38  oldss     Xen, only for user mode
 *      0x34  oldesp    Xen, only for user mode
 *      0x30  eflags    Xen; IF here is the inverse of the event mask, while the CPU's own IF is always 1
 *      0x2c  cs        Xen, RPL as it was (1 kernel, 3 user); bits 16 to 23: the event mask
 *      0x28  eip       Xen
 *      0x24  orig_eax  Xen's error code, or the word that a stub pushes
 *      0x20  es        the save path, from here down
 *      0x1c  ds
 *      0x18  eax
 *      0x14  ebp
 *      0x10  edi
 *      0x0c  esi
 *      0x08  edx
 *      0x04  ecx
 *      0x00  ebx
 *
 * Xen neither aligns the stack nor pushes SS and ESP for a frame in kernel mode: there the interrupted ESP is the address
 * of the word above eflags.
 */
#ifndef FRAMEFOLD_ENTRY_FRAME32_H
#define FRAMEFOLD_ENTRY_FRAME32_H

#define FRAME_EBX 0x00
#define FRAME_ECX 0x04
#define FRAME_EDX 0x08
#define FRAME_ESI 0x0c
#define FRAME_EDI 0x10
#define FRAME_EBP 0x14
#define FRAME_EAX 0x18
#define FRAME_DS 0x1c
#define FRAME_ES 0x20
#define FRAME_ORIG_EAX 0x24
#define FRAME_EIP 0x28
#define FRAME_CS 0x2c
#define FRAME_EFLAGS 0x30
#define FRAME_OLDESP 0x34
#define FRAME_OLDSS 0x38

/* Bytes of the frame of an activation that interrupted kernel mode. */
#define FRAME_KERNEL_SIZE 0x34

#endif
