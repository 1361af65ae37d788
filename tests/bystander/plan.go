package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// Group is a number of clients of one kind that ask one server.
type Group struct {
	// What the report calls it.
	Name string `json:"name"`
	// h1-new, h1-kept, grpc, grpc-stream, redis or greeted.
	Kind string `json:"kind"`
	// HOST:PORT.
	Target string `json:"target"`
	// How many clients.
	Clients int `json:"clients"`
	// How many of them share a connection, of HTTP/2.
	Share int `json:"share"`
	// A client thinks between two requests, at least and at most.
	Think [2]Duration `json:"think"`
	// How long a connection lives, at least and at most: pools renew theirs. Without it, as long as the server lets it.
	Life [2]Duration `json:"life"`
	// How long a stream (grpc-stream) lasts, at least and at most.
	Lasts [2]Duration `json:"lasts"`
	// How long a stream is silent between two messages.
	Silence Duration `json:"silence"`
	// Which version must answer; none: any.
	Version string `json:"version"`
	// Headers of each request.
	Headers map[string]string `json:"headers"`
}

// Duration is a time.Duration that is written as text.
type Duration time.Duration

// UnmarshalJSON reads "1.5s".
func (d *Duration) UnmarshalJSON(text []byte) error {
	var written string
	if err := json.Unmarshal(text, &written); err != nil {
		return err
	}
	read, err := time.ParseDuration(written)
	*d = Duration(read)
	return err
}

// end is when a connection that begins now is renewed.
func (g *Group) end() time.Time {
	if g.Life[1] == 0 {
		return time.Now().Add(100 * 365 * 24 * time.Hour)
	}
	return time.Now().Add(between(g.Life))
}

// client makes one client of the group.
func (g *Group) client(shared *connections) (client, error) {
	switch g.Kind {
	case "h1-new":
		return &h1{group: g}, nil
	case "h1-kept":
		return &h1{group: g, keep: true}, nil
	case "grpc":
		return &unary{group: g, connections: shared}, nil
	case "grpc-stream":
		return &stream{group: g, connections: shared}, nil
	case "redis":
		return &tcp{group: g, protocol: redis{}}, nil
	case "greeted":
		return &tcp{group: g, protocol: greeted{version: g.Version}}, nil
	}
	return nil, fmt.Errorf("group %s: no such kind: %s", g.Name, g.Kind)
}
