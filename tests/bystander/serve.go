package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// The answer says who gave it.
	versionHeader = "X-Version"
	// And who asked: the client itself, or a router.
	peerHeader = "X-Peer"
	grpcType   = "application/grpc"
	callPath   = "/bystander.Echo/Call"
	watchPath  = "/bystander.Echo/Watch"
	// How long requests may go on after the drain.
	longest = 15 * time.Minute
)

// server is a well-behaved server: nobody notices that it ends, if clients are led elsewhere before.
type server struct {
	port, greetPort int
	version         string
	drain           time.Duration
	draining        atomic.Bool
	// It says that it is not ready.
	closed atomic.Bool
	// Connections of the protocol in which the server speaks first.
	greeted sync.WaitGroup
}

func (s *server) run(ctx context.Context) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	inner := &http.Server{
		Addr:      fmt.Sprintf(":%d", s.port),
		Handler:   s.handler(),
		Protocols: protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 250},
	}
	if s.greetPort != 0 {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", s.greetPort))
		if err != nil {
			return err
		}
		go s.greet(listener)
	}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		s.draining.Store(true)
		time.Sleep(s.drain)
		last, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		err := inner.Shutdown(last)
		s.greeted.Wait()
		ended <- err
	}()
	fmt.Printf("serving on port %d as %s\n", s.port, s.version)
	if err := inner.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ended
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// What was sent comes back: a client sees whether it got the answer to its own question.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.closed.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/open", func(http.ResponseWriter, *http.Request) { s.closed.Store(false) })
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) { s.closed.Store(true) })
	mux.HandleFunc(callPath, s.call)
	mux.HandleFunc(watchPath, s.watch)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		w.Header().Set(peerHeader, host)
		w.Header().Set(versionHeader, s.version)
		if s.draining.Load() {
			// In HTTP/2 this makes Go's server say GOAWAY.
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

// call is a unary gRPC.
func (s *server) call(w http.ResponseWriter, r *http.Request) {
	message, err := readMessage(bufio.NewReader(r.Body))
	if err != nil {
		return
	}
	begin(w)
	_, _ = w.Write(frame(message))
	w.Header().Set("Grpc-Status", "0")
}

// watch is a gRPC whose answers come in a stream: so many messages, with so much silence before each.
func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	silence, err := time.ParseDuration(r.URL.Query().Get("silence"))
	count, err2 := strconv.Atoi(r.URL.Query().Get("count"))
	if errors.Join(err, err2) != nil {
		http.Error(w, "silence and count are needed", http.StatusBadRequest)
		return
	}
	begin(w)
	flusher := http.NewResponseController(w)
	_ = flusher.Flush()
	for number := range count {
		select {
		case <-r.Context().Done():
			return
		case <-time.After(silence):
		}
		_, _ = w.Write(frame([]byte(strconv.Itoa(number))))
		_ = flusher.Flush()
	}
	w.Header().Set("Grpc-Status", "0")
}

func begin(w http.ResponseWriter) {
	w.Header().Set("Content-Type", grpcType)
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
}

// greet speaks first, as MySQL does, then repeats each line.
func (s *server) greet(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		s.greeted.Go(func() {
			defer connection.Close()
			fmt.Fprintf(connection, "hello from %s\n", s.version)
			_, _ = io.Copy(connection, connection)
		})
	}
}

// frame is a message as gRPC sends it.
func frame(message []byte) []byte {
	framed := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message)))
	return append(framed, message...)
}

func readMessage(from io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(from, message)
	return message, err
}
