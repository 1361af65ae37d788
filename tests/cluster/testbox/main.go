// testbox is the one small program that test pods run: a server, a client and
// a few ways to fail. It is in every bundled cluster as the image
// dev.local/testbox:1, runs as user 65532 on a read-only root, and has no shell.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: testbox COMMAND

  serve [-port 8080] [-message TEXT] [-ready-after 0s]
                             HTTP: / answers with the message, /healthz is for probes,
                             /headers echoes the request's headers as JSON
  get [-timeout 3s] [-header 'NAME: VALUE'] URL
                             one GET, prints the body; fails unless the status is below 400
  tcp [-timeout 3s] HOST:PORT  connects, prints "connected"
  dns [-timeout 3s] NAME     prints the addresses, one a line
  sleep [DURATION]           for ever without one; ends at once on SIGTERM
  print TEXT                 prints the text
  cat FILE                   prints the file
  fail [-after 0s] TEXT      prints the text to stderr, exits with 1
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "testbox:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, args []string) error {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	timeout := flags.Duration("timeout", 3*time.Second, "give up after this long")
	port := flags.Int("port", 8080, "port to listen on")
	message := flags.String("message", hostname(), "what / answers")
	readyAfter := flags.Duration("ready-after", 0, "/healthz answers 503 until then")
	header := flags.String("header", "", "NAME: VALUE")
	after := flags.Duration("after", 0, "wait before failing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	arg := flags.Arg(0)

	switch command {
	case "serve":
		return serve(ctx, *port, *message, *readyAfter)
	case "sleep":
		if arg == "" {
			<-ctx.Done()
			return nil
		}
		duration, err := time.ParseDuration(arg)
		if err != nil {
			return err
		}
		pause(ctx, duration)
		return nil
	case "print":
		fmt.Println(arg)
		return nil
	case "cat":
		content, err := os.ReadFile(arg)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(content)
		return err
	case "fail":
		pause(ctx, *after)
		return errors.New(arg)
	}

	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	switch command {
	case "get":
		return get(ctx, arg, *header)
	case "tcp":
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", arg)
		if err != nil {
			return err
		}
		fmt.Println("connected")
		return connection.Close()
	case "dns":
		addresses, err := net.DefaultResolver.LookupHost(ctx, arg)
		if err != nil {
			return err
		}
		fmt.Println(strings.Join(addresses, "\n"))
		return nil
	}
	return fmt.Errorf("no such command: %s\n%s", command, usage)
}

func serve(ctx context.Context, port int, message string, readyAfter time.Duration) error {
	started := time.Now()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, message) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if time.Since(started) < readyAfter {
			http.Error(w, "not ready yet", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(r.Header); err != nil {
			fmt.Fprintln(os.Stderr, "testbox:", err)
		}
	})
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: mux}
	context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			fmt.Fprintln(os.Stderr, "testbox:", err)
		}
	})
	fmt.Printf("serving on port %d\n", port)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func get(ctx context.Context, url, header string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if name, value, ok := strings.Cut(header, ":"); ok {
		request.Header.Set(name, strings.TrimSpace(value))
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= 400 {
		return errors.New(response.Status)
	}
	return nil
}

func pause(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return err.Error()
	}
	return name
}
