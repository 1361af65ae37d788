// bystander is what people who have nothing to do with `dev` run in a base: the servers of an application, and the clients that
// ask them. The clients count every request, ask nothing twice, and keep every failure with its time.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: bystander COMMAND

  serve [-port 8080] [-greet-port 0] [-version base] [-drain 10s]
        HTTP/1.1, HTTP/2 without TLS and gRPC on one port, a protocol in which the server speaks first on another.
        On SIGTERM it asks clients to connect anew for that long, then ends with its last request
  load [-port 9090] PLAN.json
        the clients of the plan, until POST /stop or SIGTERM. GET /report tells the count so far
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bystander:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, args []string) error {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	switch command {
	case "serve":
		server := server{}
		flags.IntVar(&server.port, "port", 8080, "port of HTTP")
		flags.IntVar(&server.greetPort, "greet-port", 0, "port on which the server speaks first; 0: none")
		flags.StringVar(&server.version, "version", "base", "what answers say of who gave them")
		flags.DurationVar(&server.drain, "drain", 10*time.Second, "how long clients are asked to connect anew")
		if err := flags.Parse(args); err != nil {
			return err
		}
		return server.run(ctx)
	case "load":
		port := flags.Int("port", 9090, "port of the report")
		if err := flags.Parse(args); err != nil {
			return err
		}
		text, err := os.ReadFile(flags.Arg(0))
		if err != nil {
			return err
		}
		var plan []Group
		if err := json.Unmarshal(text, &plan); err != nil {
			return fmt.Errorf("%s: %w", flags.Arg(0), err)
		}
		return load(ctx, plan, *port)
	}
	return fmt.Errorf("no such command: %s\n%s", command, usage)
}
