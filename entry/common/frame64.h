/*
 * The stack frame of the x86-64 guests. What a handler gets, from the stack pointer upwards:
 *
 *    offset  word      stored by
 *    ------  --------  -----------------------------------------------------------------------------------------------
 *                      (0 to 15 bytes: Xen aligns the interrupted RSP down to 16 before it pushes)
 *       160  ss        Xen
 *       152  rsp       Xen: the true value, from before the alignment
 *       144  rflags    Xen; IF here is the inverse of the event mask, while the CPU's own IF is always 1
 *       136  cs        Xen; RPL 0 means kernel mode, although the CPU is in ring 3; bits 32 to 39: the event mask
 *       128  rip       Xen
 *       120  orig_rax  Xen's error code, or the 0 that a stub pushes
 *       112  rdi       the stub pushes RAX here, the save path replaces it
 *       104  rsi       the save path, from here down
 *        96  rdx
 *        88  rcx
 *        80  rax
 *        72  r8
 *        64  r9
 *        56  r10
 *        48  r11
 *        40  rbx
 *        32  rbp
 *        24  r12
 *        16  r13
 *         8  r14
 *         0  r15
 *
 * What Xen leaves at the first instruction of a callback or stub: R11 and RCX are pushed last, because Xen enters the
 * guest by SYSRET, which destroys both.
 *
 *    offset  without error code   with error code
 *    ------  ------------------   ------------------
 *         0  rcx                  rcx
 *         8  r11                  r11
 *        16  rip                  error code
 *        24  cs                   rip
 *        32  rflags               cs
 *        40  rsp                  rflags
 *        48  ss                   rsp
 *        56                       ss
 *
 * The frame's base is 168 below an address that is aligned to 16, so base mod 16 is 8.
 */
#ifndef FRAMEFOLD_ENTRY_FRAME64_H
#define FRAMEFOLD_ENTRY_FRAME64_H

#define FRAME_R15 0
#define FRAME_R14 8
#define FRAME_R13 16
#define FRAME_R12 24
#define FRAME_RBP 32
#define FRAME_RBX 40
#define FRAME_R11 48
#define FRAME_R10 56
#define FRAME_R9 64
#define FRAME_R8 72
#define FRAME_RAX 80
#define FRAME_RCX 88
#define FRAME_RDX 96
#define FRAME_RSI 104
#define FRAME_RDI 112
#define FRAME_ORIG_RAX 120
#define FRAME_RIP 128
#define FRAME_CS 136
#define FRAME_RFLAGS 144
#define FRAME_RSP 152
#define FRAME_SS 160
#define FRAME_SIZE 168

/* What an iretq takes, from RSP upwards. */
#define IRET_RIP 0
#define IRET_CS 8
#define IRET_RFLAGS 16
#define IRET_RSP 24
#define IRET_SS 32

/* Per-CPU data, at GS. */
#define PDA_IRQ_COUNT %gs:0  /* 32 bits: -1 on a thread's stack, 0 and up on the interrupt stack */
#define PDA_IRQ_STACK %gs:8  /* top of the interrupt stack, aligned to 16 */

/*
 * Take back the RCX and R11 that Xen put below RIP (or below the error code), and drop the two words.
 */
.macro take_rcx_r11
        mov     (%rsp), %rcx
        mov     8(%rsp), %r11
        add     $16, %rsp
.endm

/*
 * Store all registers, RAX coming from the slot where the stub pushed it. Before: RSP at the rdi slot. After: RSP at the
 * frame's base, the original RAX in RSI, RAX as it was (the stub's message to whoever comes next).
 */
.macro save_registers
        sub     $FRAME_RDI, %rsp
        mov     %rsi, FRAME_RSI(%rsp)
        mov     FRAME_RDI(%rsp), %rsi   /* the interrupted RAX */
        mov     %rdi, FRAME_RDI(%rsp)
        mov     %rdx, FRAME_RDX(%rsp)
        mov     %rcx, FRAME_RCX(%rsp)
        mov     %rsi, FRAME_RAX(%rsp)
        mov     %r8, FRAME_R8(%rsp)
        mov     %r9, FRAME_R9(%rsp)
        mov     %r10, FRAME_R10(%rsp)
        mov     %r11, FRAME_R11(%rsp)
        mov     %rbx, FRAME_RBX(%rsp)
        mov     %rbp, FRAME_RBP(%rsp)
        mov     %r12, FRAME_R12(%rsp)
        mov     %r13, FRAME_R13(%rsp)
        mov     %r14, FRAME_R14(%rsp)
        mov     %r15, FRAME_R15(%rsp)
.endm

/* The six registers that a C function preserves. Before: RSP at the frame's base. After: RSP at the r11 slot. */
.macro restore_callee_saved
        mov     FRAME_R15(%rsp), %r15
        mov     FRAME_R14(%rsp), %r14
        mov     FRAME_R13(%rsp), %r13
        mov     FRAME_R12(%rsp), %r12
        mov     FRAME_RBP(%rsp), %rbp
        mov     FRAME_RBX(%rsp), %rbx
        add     $FRAME_R11, %rsp
.endm

/* The other nine. Before: RSP at the r11 slot. After: RSP at rip, orig_rax dropped. */
.macro restore_caller_saved
        mov     FRAME_R11 - FRAME_R11(%rsp), %r11
        mov     FRAME_R10 - FRAME_R11(%rsp), %r10
        mov     FRAME_R9 - FRAME_R11(%rsp), %r9
        mov     FRAME_R8 - FRAME_R11(%rsp), %r8
        mov     FRAME_RAX - FRAME_R11(%rsp), %rax
        mov     FRAME_RCX - FRAME_R11(%rsp), %rcx
        mov     FRAME_RDX - FRAME_R11(%rsp), %rdx
        mov     FRAME_RSI - FRAME_R11(%rsp), %rsi
        mov     FRAME_RDI - FRAME_R11(%rsp), %rdi
        add     $FRAME_RIP - FRAME_R11, %rsp
.endm

#endif
