// Answers HTTP on port 80, of both families, with the host's name, until SIGTERM or SIGINT.
    sub sp, sp, 32
    adr x9, end
    stp x9, xzr, [sp]
    stp xzr, xzr, [sp, 16]
    mov x0, 15
    bl catch
    mov x0, 2
    bl catch
    sub sp, sp, 4096            // what uname says
    mov x0, sp
    mov x8, 160                 // uname
    svc 0
    // The node's name is the second of its fields of 65 characters; a line end follows it in the answer.
    add x19, sp, 65
    mov x20, x19
length:
    ldrb w9, [x20]
    cbz w9, named
    add x20, x20, 1
    b length
named:
    mov w9, 10
    strb w9, [x20], 1
    sub x20, x20, x19
    sub sp, sp, 4096            // the request
    mov x0, 10                  // AF_INET6
    mov x1, 1                   // SOCK_STREAM
    mov x2, 0
    mov x8, 198                 // socket
    svc 0
    mov x21, x0
    // Nobody is waited for longer than a second: SO_RCVTIMEO, which connections inherit.
    mov x9, 1
    stp x9, xzr, [sp]
    mov x0, x21
    mov x1, 1                   // SOL_SOCKET
    mov x2, 20
    mov x3, sp
    mov x4, 16
    mov x8, 208                 // setsockopt
    svc 0
    // struct sockaddr_in6: the family, the port in network order, and nothing but zeros.
    movz x9, 0x000a
    movk x9, 0x5000, lsl 16
    stp x9, xzr, [sp]
    stp xzr, xzr, [sp, 16]
    mov x0, x21
    mov x1, sp
    mov x2, 28
    mov x8, 200                 // bind
    svc 0
    neg x0, x0
    cbnz x0, leave
    mov x0, x21
    mov x1, 128
    mov x8, 201                 // listen
    svc 0
serve:
    mov x0, x21
    mov x1, 0
    mov x2, 0
    mov x8, 202                 // accept
    svc 0
    tbnz x0, 63, serve
    mov x22, x0
    mov x1, sp
    mov x2, 4096
    mov x8, 63                  // read
    svc 0
    mov x0, x22
    adr x1, head
    mov x2, tail - head
    mov x8, 64                  // write
    svc 0
    mov x0, x22
    mov x1, x19
    mov x2, x20
    mov x8, 64                  // write
    svc 0
    // The rest of the request is taken before the end: else the answer might be reset on its way.
    mov x0, x22
    mov x1, 1                   // SHUT_WR
    mov x8, 210                 // shutdown
    svc 0
rest:
    mov x0, x22
    mov x1, sp
    mov x2, 4096
    mov x8, 63                  // read
    svc 0
    cmp x0, 0
    b.gt rest
    mov x0, x22
    mov x8, 57                  // close
    svc 0
    b serve
catch:
    mov x1, sp
    mov x2, 0
    mov x3, 8
    mov x8, 134                 // rt_sigaction
    svc 0
    ret
end:
    mov x0, 0
leave:
    mov x8, 93                  // exit
    svc 0
head:
    .ascii "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"
tail:
