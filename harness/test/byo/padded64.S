/*
 * An entry code of nobody's system, written to be unlike the bundled ones: no symbol of it is global, addresses are
 * compared relative to RIP, and the frame has a word of padding first, so that its base is aligned to 16.
 *
 *    offset  word      stored by
 *    ------  --------  --------------------------------------------------------------------------
 *       136  rip ...   Xen: rip, cs, rflags, rsp, ss up to 176
 *       128  error     Xen's error code; else 0, or 1 where the frame must not be folded
 *       120  rdi       the save path, from here down: rdi rsi rdx rcx rax r8 r9 r10 r11
 *        48  rbx       rbx rbp r12 r13 r14 r15, down to 8
 *         0  padding   kept 0
 *
 * Region, win_lo to win_hi. All registers are restored but RAX, which is on the stack until win_back.
 *
 *    offset  boundary before                     RSP at
 *    ------  ----------------------------------  -------------
 *      0x00  test pending; jump if not           the saved RAX
 *      0x05  mask again                          the saved RAX
 *      0x09  pop RAX                             the saved RAX
 *      0x0a  win_back: jump if pending           rip
 *            RPL of CS, of SS; iretq             rip
 *
 * With LEAVE_BY_PAGE, every frame leaves by the hypercall page, events unmasked: what is on the page is in no region.
 */
        .set    RIP, 136
        .set    IF, 0x200

/* RCX and R11 from where Xen put them; then RSP is at the error code, or, without one, above where it goes. */
.macro take_rcx_r11
        mov     (%rsp), %rcx
        mov     8(%rsp), %r11
        add     $16, %rsp
.endm

.macro save
        cld
        sub     $128, %rsp
        mov     %rdi, 120(%rsp)
        mov     %rsi, 112(%rsp)
        mov     %rdx, 104(%rsp)
        mov     %rcx, 96(%rsp)
        mov     %rax, 88(%rsp)
        mov     %r8, 80(%rsp)
        mov     %r9, 72(%rsp)
        mov     %r10, 64(%rsp)
        mov     %r11, 56(%rsp)
        mov     %rbx, 48(%rsp)
        mov     %rbp, 40(%rsp)
        mov     %r12, 32(%rsp)
        mov     %r13, 24(%rsp)
        mov     %r14, 16(%rsp)
        mov     %r15, 8(%rsp)
        movq    $0, (%rsp)
.endm

.macro restore
        mov     120(%rsp), %rdi
        mov     112(%rsp), %rsi
        mov     104(%rsp), %rdx
#ifndef RCX_LOST
        mov     96(%rsp), %rcx
#endif
        mov     88(%rsp), %rax
        mov     80(%rsp), %r8
        mov     72(%rsp), %r9
        mov     64(%rsp), %r10
        mov     56(%rsp), %r11
        mov     48(%rsp), %rbx
        mov     40(%rsp), %rbp
        mov     32(%rsp), %r12
        mov     24(%rsp), %r13
        mov     16(%rsp), %r14
        mov     8(%rsp), %r15
        add     $RIP, %rsp
.endm

/* This vCPU's vcpu_info. With PER_CPU, %fs leads to its number, and the pointer to an array of them; with
   OF_SEVERAL the number is known. */
.macro get_vcpu reg, reg32
#ifdef GOT
        mov     vcpu_ptr@GOTPCREL(%rip), \reg
        mov     (\reg), \reg
#elif defined(OF_SEVERAL)
        mov     $5 * 64, \reg32
        add     vcpu_ptr(%rip), \reg
#elif defined(PER_CPU)
        mov     %fs:8, \reg32
        shl     $6, \reg
        add     vcpu_ptr(%rip), \reg
#elif defined(GS_VCPU)
        mov     %gs:16, \reg
#elif defined(OWN_INFO)
        lea     own_info(%rip), \reg
#else
        mov     vcpu_ptr(%rip), \reg
#endif
.endm

/* In ring 3, where the kernel runs. */
.macro return
        orb     $3, 8(%rsp)
        orb     $3, 32(%rsp)
        iretq
.endm

#include "padded64_stacks.inc"
#include "padded64_unseen.inc"
#include "padded64_looks.inc"

        .section .entry.text, "ax", @progbits

#ifdef PAGE_BEFORE
        nop
        .balign 4096
hyper_page:
        .skip   4096
#endif
evt_entry:
        take_rcx_r11
        push    $0
evt_save:
#ifdef NEEDS_MASK
        cmpl    $0, in_divide(%rip)
        jne     evt_wrong
#endif
        save
        cmpq    $0, 128(%rsp)
        jne     evt_handle
#if (defined(USERS) || defined(USERS_PLAIN)) && !defined(USERS_TAKEN)
        testb   $3, RIP + 8(%rsp)
        jnz     evt_handle
#endif
        mov     RIP(%rsp), %rax
#ifndef NO_LOWER_BOUND                  /* without: whatever lies below is folded */
        lea     win_lo(%rip), %rdx
#endif
#ifdef MASKS_BEHIND                     /* compares how far it is behind win_lo */
        mov     %rax, %rcx
        sub     %rdx, %rcx
        cmp     $win_hi - win_lo, %rcx
        jb      evt_fold
        jmp     evt_handle
#endif
#ifndef NO_LOWER_BOUND
        cmp     %rdx, %rax
        jb      evt_handle
#endif
        lea     win_hi(%rip), %rdx
        cmp     %rdx, %rax
        jb      evt_fold
evt_handle:
#ifdef FS_EARLY                         /* from user mode this is the user's FS */
        mov     %fs:8, %ecx
#endif
#ifdef GS_EARLY                         /* far behind where GS leads */
        cmpl    $0, %gs:0x5000
        jne     .
#endif
#ifdef CALLS_OUT
        call    audit_hook              /* which nobody defines */
#endif
#ifdef CALLS_BY_POINTER
        lea     audit_hook(%rip), %rax
        call    *%rax
#endif
#ifdef STACK_BASE                       /* as Linux' thread_info */
        mov     $-0x4000, %rax
        and     %rsp, %rax
        incl    (%rax)
        decl    (%rax)
#endif
#ifdef NULL_POINTER
        mov     cpu_state(%rip), %rax   /* another object's: start-up code sets it */
        mov     16(%rax), %rax
#endif
#ifdef CALLS_NULL
        call    *irq_ops(%rip)          /* likewise */
#endif
#ifdef WEAK_CALL
        .weak   audit_hook
        call    audit_hook
#endif
#ifdef WEAK_DATA
        .weak   debug_level
        cmpl    $0, debug_level
#endif
#ifdef WEAK_LOOKED_AT
        .weak   audit_hook
        lea     audit_hook(%rip), %rax
        test    %rax, %rax
        jz      1f
        call    audit_hook
1:
#endif
#ifdef ZEROED
        cmpl    $0, debug_level(%rip)
        jne     evt_handle
#endif
#ifdef LARGE_DATA
        lea     big_table(%rip), %rax   /* another object's, larger than a line */
        mov     4096(%rax), %rcx
#endif
#ifdef HOOKS
/* Functions of other objects, each with something that this code relies on. */
        call    hook_value              /* returns 7, or 9 to ask for hook_never */
        cmp     $7, %rax
        je      1f
        cmp     $9, %rax
        jne     hooks_wrong
        call    hook_never
1:      call    hook_store              /* sets the word */
        cmpl    $5, hook_word(%rip)
        jne     hooks_wrong
        movl    $0, hook_word(%rip)
        call    hook_event              /* lets one event in */
        lea     hook_word(%rip), %rsi
        call    hook_quiet              /* in assembly: keeps every register */
        cmpl    $0, (%rsi)
        jne     hooks_wrong
#endif
        look_at_unsaid
#ifdef USES_XMM
        mov     $1, %eax
        movq    %rax, %xmm0
        call    audit_hook
        movq    %xmm0, %rax
        cmp     $1, %rax
        jne     evt_wrong
#endif
#ifdef COUNTS
        incl    irq_count(%rip)
#endif
        mov     %rsp, %rdi
#ifdef OWN_HELPER
        call    note_frame              /* gets the frame as well, and is here */
        mov     %rsp, %rdi
#endif
#ifdef HELPER
        call    account_irq             /* gets the frame as well */
        mov     %rsp, %rdi
#endif
        to_handler_stack
        call    irq_dispatch
#if defined(RETURNS) || defined(RETURNS_EACH)
        test    %eax, %eax              /* 0, it says */
        jnz     evt_wrong
#endif
        from_handler_stack

leave:
#ifdef CHANGES                          /* a register of the frame */
        incq    CHANGES(%rsp)
#endif
#ifdef PRIVILEGED
        hlt                             /* traps in the guest's ring */
#endif
#ifdef PORT_IO
        in      $0x80, %al              /* so does this, with IOPL 0 */
#endif
#ifdef USERS
        testb   $3, RIP + 8(%rsp)
        jnz     leave_user
#endif
        testl   $IF, RIP + 16(%rsp)
        jz      leave_as_is
#ifdef USERS_PLAIN                      /* too late: a user's frame with events masked leaves by a plain iretq */
        testb   $3, RIP + 8(%rsp)
        jnz     leave_user
#endif
        get_vcpu %rsi, %esi
        testb   $1, 1(%rsi)
        jz      leave_as_is
        restore
        push    %rax
        get_vcpu %rax, %eax
        movb    $0, 1(%rax)
win_lo:
#ifdef CALLS_IN_WINDOW                  /* and what is pending by then is delivered on the page */
        call    xen_calls + 17 * 32
        get_vcpu %rax, %eax
#endif
#ifdef MASKS_BEHIND                     /* where an event is pending, behind the return */
        testb   $0xff, (%rax)
        jnz     win_mask
        pop     %rax
win_back:
        orb     $3, 8(%rsp)
        orb     $3, 32(%rsp)
win_last:
        iretq
win_mask:
        movb    $1, 1(%rax)
win_hi:
        pop     %rax
        jmp     win_again
#elif defined(UNSEEN_CALL) || defined(UNSEEN_INSIDE)
        exit_unseen
win_hi:
#else
        testb   $0xff, (%rax)
        jz      1f
        movb    $1, 1(%rax)
1:      pop     %rax
win_back:
        jnz     win_again
#ifdef LATE_LABEL
win_late:
#endif
#ifdef LEAVE_BY_PAGE
        push    $0
        jmp     xen_calls + 23 * 32
#else
        return
#endif
win_hi:
#endif

/* Events are masked again, and this frame's: saved anew, it is not to be folded into another. */
win_again:
        push    $1
        jmp     evt_save

leave_as_is:
        restore
        return

#if defined(USERS) || defined(USERS_PLAIN)
leave_user:
#ifdef USERS_WORK
        testl   $4, work_bits(%rip)
        jz      1f
        call    do_work
        jmp     leave_user
1:
#endif
        restore
        push    $0
        jmp     xen_calls + 23 * 32
#endif

/* RAX: rip of the nested frame. Its registers go to just below the words that Xen pushed for the interrupted one. */
evt_fold:
#ifdef SLIPS
        slip
#endif
#ifdef INSIDE_BY_POINTER
        lea     5f + 1(%rip), %rdx
        jmp     *%rdx
5:      .byte   0x48
        nop
#endif
#ifdef CALLS_IN_FOLD                    /* where no plain upcall comes */
        call    fold_hook
        mov     RIP(%rsp), %rax
#endif
#ifdef TRAPS_IN_FOLD                    /* likewise, and a trap of its own, with a name */
        jmp     fold_hook
#endif
#ifdef HALF_RSP                         /* its upper half is lost */
        mov     RIP + 24(%rsp), %esi
#else
        mov     RIP + 24(%rsp), %rsi
#endif
#ifdef MASKS_BEHIND
        lea     win_last(%rip), %rdx
        cmp     %rdx, %rax
        ja      3f
#endif
        lea     win_back(%rip), %rdx
        cmp     %rdx, %rax
        jae     1f
3:
        mov     (%rsi), %rdx
        mov     %rdx, 88(%rsp)
        add     $8, %rsi
1:      lea     RIP(%rsp), %rdi
        mov     $RIP / 8, %ecx
2:      sub     $8, %rdi
        sub     $8, %rsi
        mov     (%rdi), %rdx
        mov     %rdx, (%rsi)
        dec     %ecx
        jnz     2b
        to_folded_frame
        andb    $0xfc, RIP + 8(%rsp)
        jmp     evt_handle

#ifdef PAGE_MIDDLE
/* Between two ways in. */
        .balign 4096
hyper_page:
        .skip   4096
#endif
de_entry:
#ifdef NEEDS_MASK                       /* no event may come before the end of this */
        incl    in_divide(%rip)
        decl    in_divide(%rip)
#endif
        take_rcx_r11
        push    $0
        jmp     fault

pf_entry:
        take_rcx_r11
fault:
        save
#ifdef ERROR_IN_RDX
        mov     128(%rsp), %rdx
        xor     %esi, %esi
#elif defined(ERROR_LOST)
        xor     %esi, %esi
#else
        mov     128(%rsp), %rsi
#endif
#ifdef KEEPS_RAX                        /* whatever the handler writes to the frame */
        mov     88(%rsp), %rbx
#endif
        mov     %rsp, %rdi
#ifdef OTHER_HANDLER                    /* with events masked, another vector's handler */
        testl   $IF, RIP + 16(%rsp)
        jz      fault_other
#endif
        call    fault_dispatch
#ifdef KEEPS_RAX
        mov     %rbx, 88(%rsp)
#endif
#ifdef RETURNS_EACH
        cmp     $1, %eax                /* 1, this one says */
        jne     evt_wrong
#endif
        jmp     leave

#ifdef OTHER_HANDLER
db_entry:
        take_rcx_r11
        push    $0
        save
        mov     %rsp, %rdi
fault_other:
        call    debug_dispatch
        jmp     leave
#endif

#include "padded64_more.inc"

#ifdef LINKED
/* What the rest of a kernel would define. */
        .section .text.rest, "ax", @progbits
irq_dispatch:
        nop
        ret
fault_dispatch:
        nop
        ret
        .data
vcpu_ptr:
        .quad   0
#ifndef PAGE_MIDDLE
        .section .hypercall_page, "ax", @progbits
        .balign 4096
xen_calls:
        .fill   4096, 1, 0xcc
#endif
        .section .stack.thread, "aw", @nobits
        .balign 4096
idle_stack:
        .skip   0x4000
#endif
