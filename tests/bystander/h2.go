package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// connections are those of a group that speaks HTTP/2. A client takes a place on one that takes new requests, else there is a new
// one. net/http's own pool would ask some requests twice.
type connections struct {
	group     *Group
	transport *http.Transport
	lock      sync.Mutex
	open      []shared
}

// shared is a connection that several clients use.
type shared struct {
	*http.ClientConn
	// After that it takes no new request.
	end time.Time
}

func newConnections(group *Group) *connections {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &connections{group: group, transport: &http.Transport{
		Protocols: protocols,
		DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
			return dial(ctx, target)
		},
	}}
}

// take reserves a place on a connection.
func (c *connections) take(ctx context.Context) (connection *http.ClientConn, used bool, err error) {
	if connection := c.reserve(); connection != nil {
		return connection, true, nil
	}
	// Not under the lock: where one connection takes long, others may not.
	connection, err = c.transport.NewClientConn(ctx, "http", c.group.Target)
	if err != nil {
		return nil, false, err
	}
	if err := connection.Reserve(); err != nil {
		_ = connection.Close()
		return nil, false, err
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.open = append(c.open, shared{connection, c.group.end()})
	return connection, false, nil
}

// reserve takes a place on an open connection, if there is one.
func (c *connections) reserve() *http.ClientConn {
	c.lock.Lock()
	defer c.lock.Unlock()
	kept := c.open[:0]
	var found *http.ClientConn
	for _, one := range c.open {
		old := time.Now().After(one.end)
		if one.Err() != nil || (old || one.Available() == 0) && one.InFlight() == 0 {
			// It was told to go away, or is old, and its last request has ended.
			_ = one.Close()
			continue
		}
		kept = append(kept, one)
		if found == nil && !old && one.InFlight() < max(c.group.Share, 1) && one.Reserve() == nil {
			found = one.ClientConn
		}
	}
	c.open = kept
	return found
}

func (c *connections) post(ctx context.Context, path, message string) (*http.Response, outcome) {
	for {
		response, result := c.postOnce(ctx, path, message)
		// It was told to go away after a place was taken on it: nothing of the request was sent yet.
		if result.err == nil || !strings.Contains(result.err.Error(), "http2: client conn not usable") {
			return response, result
		}
	}
}

func (c *connections) postOnce(ctx context.Context, path, message string) (*http.Response, outcome) {
	connection, used, err := c.take(ctx)
	if err != nil {
		return nil, outcome{err: err, at: "connect"}
	}
	body := bytes.NewReader(frame([]byte(message)))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.group.Target+path, body)
	if err != nil {
		connection.Release()
		return nil, outcome{err: err, at: "connect"}
	}
	request.GetBody = nil
	request.Header.Set("Content-Type", grpcType)
	request.Header.Set("Te", "trailers")
	for name, value := range c.group.Headers {
		request.Header.Set(name, value)
	}
	response, err := connection.RoundTrip(request)
	result := outcome{used: used}
	if err != nil {
		result.err, result.at = err, "read"
		return nil, result
	}
	result.peer = response.Header.Get(peerHeader)
	return response, result
}

// ended says what is wrong with the end of a gRPC.
func ended(group *Group, response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	status := response.Trailer.Get("Grpc-Status")
	if status == "" {
		status = response.Header.Get("Grpc-Status")
	}
	if status != "0" {
		return fmt.Errorf("grpc-status %q %s", status, response.Header.Get("Grpc-Message"))
	}
	if version := response.Header.Get(versionHeader); group.Version != "" && version != group.Version {
		return fmt.Errorf("answered by %q", version)
	}
	return nil
}

// unary is a client of gRPC that asks one thing after the other.
type unary struct {
	group       *Group
	connections *connections
}

func (c *unary) ask(ctx context.Context, nonce string) outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	response, result := c.connections.post(ctx, callPath, nonce)
	if result.err != nil {
		return result
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		result.err, result.at = err, "read"
		return result
	}
	result.at = "answer"
	if result.err = ended(c.group, response); result.err != nil {
		return result
	}
	if message, err := readMessage(bytes.NewReader(body)); err != nil || string(message) != nonce {
		result.err = fmt.Errorf("answered %q to %q", message, nonce)
	}
	return result
}

func (c *unary) leave() {}

// stream is a client that holds a gRPC stream to its end, and then the next one.
type stream struct {
	group       *Group
	connections *connections
}

func (c *stream) ask(ctx context.Context, nonce string) outcome {
	silence := time.Duration(c.group.Silence)
	count := max(1, int(between(c.group.Lasts)/silence))
	// Clients that are told to stop give their streams back: these have not failed. All else that ends them early has.
	ctx, cancel := context.WithTimeout(ctx, time.Duration(count)*(silence+patience))
	defer cancel()
	response, result := c.connections.post(ctx, fmt.Sprintf("%s?silence=%s&count=%d", watchPath, silence, count), nonce)
	if result.err != nil {
		return given(ctx, result)
	}
	defer response.Body.Close()
	for ; result.messages < count; result.messages++ {
		message, err := readMessage(response.Body)
		if err != nil {
			result.err, result.at = fmt.Errorf("after %d of %d messages: %w", result.messages, count, err), "read"
			return given(ctx, result)
		}
		if string(message) != strconv.Itoa(result.messages) {
			result.err, result.at = fmt.Errorf("message %q is number %d", message, result.messages), "answer"
			return result
		}
	}
	result.at = "answer"
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		result.err, result.at = fmt.Errorf("%d bytes after the last message, %v", len(rest), err), "read"
		return given(ctx, result)
	}
	result.err = ended(c.group, response)
	return result
}

// given takes back the error of a stream that the client itself gave back.
func given(ctx context.Context, result outcome) outcome {
	if errors.Is(ctx.Err(), context.Canceled) {
		result.err, result.given = nil, true
	}
	return result
}

func (c *stream) leave() {}
