# Answers HTTP on port 80, of both families, with the host's name, until SIGTERM or SIGINT.
.intel_syntax noprefix
    push 0
    lea rax, [rip + end]
    push rax
    push 0x04000000
    push rax
    mov edi, 15
    call catch
    mov edi, 2
    call catch
    sub rsp, 8192               # the request, and above it what uname says
    lea rdi, [rsp + 4096]
    mov eax, 63                 # uname
    syscall
    # The node's name is the second of its fields of 65 characters; a line end follows it in the answer.
    lea r14, [rsp + 4096 + 65]
    mov r15, r14
length:
    cmp byte ptr [r15], 0
    je named
    inc r15
    jmp length
named:
    mov byte ptr [r15], 10
    inc r15
    sub r15, r14
    mov edi, 10                 # AF_INET6
    mov esi, 1                  # SOCK_STREAM
    xor edx, edx
    mov eax, 41                 # socket
    syscall
    mov r12d, eax
    # Nobody is waited for longer than a second: SO_RCVTIMEO, which connections inherit.
    push 0
    push 1
    mov edi, r12d
    mov esi, 1                  # SOL_SOCKET
    mov edx, 20
    mov r10, rsp
    mov r8d, 16
    mov eax, 54                 # setsockopt
    syscall
    # struct sockaddr_in6: the family, the port in network order, and nothing but zeros.
    push 0
    push 0
    push 0
    push 0x5000000a
    mov edi, r12d
    mov rsi, rsp
    mov edx, 28
    mov eax, 49                 # bind
    syscall
    mov edi, eax
    neg edi
    jnz leave
    mov edi, r12d
    mov esi, 128
    mov eax, 50                 # listen
    syscall
serve:
    mov edi, r12d
    xor esi, esi
    xor edx, edx
    mov eax, 43                 # accept
    syscall
    test eax, eax
    js serve
    mov r13d, eax
    mov edi, r13d
    lea rsi, [rsp + 48]
    mov edx, 4096
    xor eax, eax                # read
    syscall
    mov edi, r13d
    lea rsi, [rip + head]
    mov edx, offset tail - head
    mov eax, 1                  # write
    syscall
    mov edi, r13d
    mov rsi, r14
    mov edx, r15d
    mov eax, 1                  # write
    syscall
    # The rest of the request is taken before the end: else the answer might be reset on its way.
    mov edi, r13d
    mov esi, 1                  # SHUT_WR
    mov eax, 48                 # shutdown
    syscall
rest:
    mov edi, r13d
    lea rsi, [rsp + 48]
    mov edx, 4096
    xor eax, eax                # read
    syscall
    test eax, eax
    jg rest
    mov edi, r13d
    mov eax, 3                  # close
    syscall
    jmp serve
catch:
    lea rsi, [rsp + 8]
    xor edx, edx
    mov r10d, 8
    mov eax, 13                 # rt_sigaction
    syscall
    ret
end:
    xor edi, edi
leave:
    mov eax, 60                 # exit
    syscall
head:
    .ascii "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"
tail:
