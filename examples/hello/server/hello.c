// Answers every HTTP request on port 8080: with $TEXT, or as `hello clock` with the time. Ends on SIGTERM.
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void stop(int signal) {
  (void)signal;
  _exit(0);
}

static void answer(int peer, int is_clock) {
  char asked[4096] = {0}, text[512], page[1024];
  if (read(peer, asked, sizeof asked - 1) > 0) {
    time_t now = time(NULL);
    if (is_clock)
      strftime(text, sizeof text, "%H:%M:%S UTC", gmtime(&now));
    else
      snprintf(text, sizeof text, "%s", getenv("TEXT") ? getenv("TEXT") : "");
    int length = snprintf(page, sizeof page,
                          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                          strlen(text) + 1, text);
    if (write(peer, page, length) == length)
      printf("%.*s -> %s\n", (int)strcspn(asked, "\r\n"), asked, text);
  }
  close(peer);
}

int main(int count, char **words) {
  int is_clock = count > 1 && strcmp(words[1], "clock") == 0, yes = 1;
  struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_addr = in6addr_any};
  int listener = socket(AF_INET6, SOCK_STREAM, 0);
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGTERM, stop); // PID 1 has no default for it
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 64)) {
    perror("cannot listen on port 8080");
    return 1;
  }
  printf("%s listens on port 8080\n", is_clock ? "clock" : "web");
  for (;;)
    answer(accept(listener, NULL, NULL), is_clock);
}
