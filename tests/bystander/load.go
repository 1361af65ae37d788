package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// A request that takes longer has failed.
const patience = 10 * time.Second

// client asks one request after the other.
type client interface {
	// ask makes one request, once. nonce is what the answer must repeat.
	ask(ctx context.Context, nonce string) outcome
	// leave ends what is still open, as a client does that needs it no more.
	leave()
}

// outcome is what a client knows about a request.
type outcome struct {
	err error
	// Where it went wrong: connect, write, read, answer.
	at string
	// Who the server saw: the client itself, or a router. Of a request that failed, who it saw before on this connection.
	peer string
	// The connection had carried a request before, so long ago.
	used bool
	idle time.Duration
	// The connection's own address, to find it in a capture.
	local string
	// Messages of a stream.
	messages int
	// A stream that the client itself gave back before its end: neither answered nor failed.
	given bool
}

// load runs the clients until they are told to stop, and prints the report.
func load(ctx context.Context, plan []Group, port int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	report := newReport(plan)
	var clients sync.WaitGroup
	for index := range plan {
		group := &plan[index]
		shared := newConnections(group)
		for number := range group.Clients {
			client, err := group.client(shared)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("%s-%d", group.Name, number)
			clients.Go(func() { work(ctx, client, group, name, report.groups[index]) })
		}
	}
	ended := make(chan struct{})
	go func() {
		<-ctx.Done()
		clients.Wait()
		report.end()
		close(ended)
	}()

	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(report.now())
	}
	mux.HandleFunc("/report", func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		<-ended
		answer(w)
	})
	mux.HandleFunc("/ask", ask)
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: mux}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ended:
	}
	// Who stopped it gets the answer before the process ends; who asks later reads it from the log.
	last, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	return errors.Join(json.NewEncoder(os.Stdout).Encode(report.now()), server.Shutdown(last))
}

// work asks until ctx ends; a request that was begun is finished, and counted.
func work(ctx context.Context, client client, group *Group, name string, count *count) {
	defer client.leave()
	// They do not all begin at once.
	pause(ctx, between([2]Duration{0, max(group.Think[1], Duration(200*time.Millisecond))}))
	for number := 0; ctx.Err() == nil; number++ {
		began := time.Now()
		result := client.ask(ctx, name+"-"+strconv.Itoa(number))
		count.add(began, time.Now(), result)
		think := between(group.Think)
		if result.err != nil {
			// Whoever is away for a moment is not asked a million times.
			think = max(think, 5*time.Millisecond)
		}
		pause(ctx, think)
	}
}

func between(of [2]Duration) time.Duration {
	if of[1] <= of[0] {
		return time.Duration(of[0])
	}
	return time.Duration(of[0]) + rand.N(time.Duration(of[1]-of[0]))
}

func pause(ctx context.Context, duration time.Duration) {
	if duration <= 0 {
		return
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// dial connects as clients do, which ask the DNS now and then, not for each connection.
func dial(ctx context.Context, target string) (net.Conn, error) {
	address, err := names.address(ctx, target)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
}

var names = resolver{known: map[string]resolved{}}

// How long an address is used before the DNS is asked again.
const ttl = 30 * time.Second

type resolved struct {
	address string
	until   time.Time
}

type resolver struct {
	lock  sync.Mutex
	known map[string]resolved
}

func (r *resolver) address(ctx context.Context, target string) (string, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	known, ok := r.known[target]
	if ok && time.Now().Before(known.until) {
		return known.address, nil
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return "", err
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		if ok {
			// The DNS is not what is under test: an address that was good is good for a while.
			r.known[target] = resolved{known.address, time.Now().Add(ttl / 10)}
			return known.address, nil
		}
		return "", err
	}
	address := net.JoinHostPort(addresses[0], port)
	r.known[target] = resolved{address, time.Now().Add(ttl)}
	return address, nil
}
