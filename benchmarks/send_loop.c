/* The least that a server can do: accept, and for every byte on the control
 * connection send one line to each subscriber, with nothing around it.
 *
 *   send_loop LINE_BYTES   prints the two ports: subscribers, control.
 *
 * Control: each byte but '?' asks for one line to everybody; what arrives in one
 * read is sent in one send for each subscriber, as the others gather too.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        exit(1);
    return listener;
}

static int port_of(int listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

int main(int count, char **words)
{
    static int subscribers[100000];
    static char lines[65536];
    int line_bytes = count > 1 ? atoi(words[1]) : 120, connected = 0, one = 1;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    memset(lines, 'x', sizeof lines);
    for (size_t end = line_bytes; end <= sizeof lines; end += line_bytes)
        memcpy(lines + end - 2, "\r\n", 2), lines[end - line_bytes] = '~';
    struct pollfd waiting[3] = {{listen_on_loopback(), POLLIN, 0}, {listen_on_loopback(), POLLIN, 0}, {-1, POLLIN, 0}};
    printf("%d %d\n", port_of(waiting[0].fd), port_of(waiting[1].fd));
    fflush(stdout);
    for (;;) {
        if (poll(waiting, 3, -1) < 0)
            return 1;
        if (waiting[0].revents) {
            int subscriber = accept4(waiting[0].fd, NULL, NULL, SOCK_NONBLOCK);
            if (subscriber >= 0 && connected < 100000) {
                setsockopt(subscriber, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                subscribers[connected++] = subscriber;
            }
        }
        if (waiting[1].revents)
            waiting[2].fd = accept4(waiting[1].fd, NULL, NULL, 0);
        if (waiting[2].revents) {
            char asked[400];
            ssize_t got = read(waiting[2].fd, asked, sizeof asked);
            if (got <= 0)
                return 0;
            for (int each = 0; each < connected; each++)
                send(subscribers[each], lines, got * line_bytes, MSG_NOSIGNAL);
        }
    }
}
