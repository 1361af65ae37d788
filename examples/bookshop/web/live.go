package main

import (
	"context"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// live serves WebSockets that say which version is at their other end: on opening, every few seconds, and in answer to
// each message.
type live struct {
	stopping context.Context
	cancel   context.CancelFunc
	open     sync.WaitGroup
}

type liveMessage struct {
	Version  string            `json:"version"`
	Received map[string]string `json:"received"`
	Echo     string            `json:"echo,omitempty"`
}

func newLive() *live {
	ctx, cancel := context.WithCancel(context.Background())
	return &live{stopping: ctx, cancel: cancel}
}

// goAway begins to close all WebSockets, those that open from now on too.
func (l *live) goAway() { l.cancel() }

// wait returns when all are closed; none may open any more.
func (l *live) wait() { l.open.Wait() }

func (l *live) handler(version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l.open.Add(1)
		defer l.open.Done()
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			log.Printf("live: %v", err) // Accept has answered
			return
		}
		defer conn.CloseNow()
		message := liveMessage{Version: version, Received: received(r.Context())}

		ctx, cancel := context.WithCancel(context.Background())
		var pushing sync.WaitGroup
		pushing.Go(func() {
			tick := time.NewTicker(5 * time.Second)
			defer tick.Stop()
			for {
				if err := wsjson.Write(ctx, conn, message); err != nil {
					return
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				case <-l.stopping.Done():
					conn.Close(websocket.StatusGoingAway, "shutting down")
					return
				}
			}
		})
		defer pushing.Wait()
		defer cancel()
		for {
			_, text, err := conn.Read(ctx)
			if err != nil {
				return
			}
			echo := message
			echo.Echo = string(text)
			if err := wsjson.Write(ctx, conn, echo); err != nil {
				return
			}
		}
	}
}
