// web: the bookshop's page, its JSON twin /api/product and the WebSocket /live.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	s := &shop{
		version:  cmp.Or(os.Getenv("DEV_VERSION"), "local"),
		greeting: cmp.Or(os.Getenv("GREETING"), "Welcome"),
		reviews:  cmp.Or(os.Getenv("REVIEWS_URL"), "http://localhost:9080"),
		details:  cmp.Or(os.Getenv("DETAILS_URL"), "http://localhost:9081"),
		client:   &http.Client{Transport: passOn{transport}, Timeout: 3 * time.Second},
		live:     newLive(),
	}
	server := &http.Server{
		Addr:              cmp.Or(os.Getenv("LISTEN"), ":8080"),
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.live.goAway() // Shutdown neither closes WebSockets nor waits for them
		err := server.Shutdown(grace)
		s.live.wait()
		stopped <- err
	}()
	log.Printf("web %s listens on %s", s.version, server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}
