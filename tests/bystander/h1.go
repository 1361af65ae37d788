package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// h1 is a client of HTTP/1.1 that does what good clients do: it obeys `Connection: close`, and looks whether the server has closed
// a connection before it is used again. It asks nothing twice.
type h1 struct {
	group *Group
	keep  bool

	connection net.Conn
	reader     *bufio.Reader
	end, last  time.Time
	peer       string
}

func (c *h1) ask(ctx context.Context, nonce string) (result outcome) {
	if c.connection != nil && (time.Now().After(c.end) || isClosed(c.connection)) {
		c.leave()
	}
	if c.connection == nil {
		// A request that was begun is finished: ctx only ends the clients.
		connection, err := dial(context.WithoutCancel(ctx), c.group.Target)
		if err != nil {
			return outcome{err: err, at: "connect"}
		}
		c.connection, c.reader, c.end, c.peer = connection, bufio.NewReader(connection), c.group.end(), ""
	} else {
		result.used, result.idle = true, time.Since(c.last)
	}
	result.local = c.connection.LocalAddr().String()
	at, closes, err := c.exchange(nonce)
	result.peer, c.last = c.peer, time.Now()
	if err != nil {
		result.at, result.err = at, err
	}
	if err != nil || closes || !c.keep {
		c.leave()
	}
	return result
}

func (c *h1) exchange(nonce string) (at string, closes bool, err error) {
	_ = c.connection.SetDeadline(time.Now().Add(patience))
	var request strings.Builder
	method := "POST"
	fmt.Fprintf(&request, "%s / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, c.group.Target, len(nonce))
	for name, value := range c.group.Headers {
		fmt.Fprintf(&request, "%s: %s\r\n", name, value)
	}
	request.WriteString("\r\n" + nonce)
	if _, err := io.WriteString(c.connection, request.String()); err != nil {
		return "write", false, err
	}
	response, err := http.ReadResponse(c.reader, &http.Request{Method: method})
	if err != nil {
		return "read", false, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "read", false, err
	}
	c.peer = response.Header.Get(peerHeader)
	return "answer", response.Close, judge(c.group, response, string(body), nonce)
}

func (c *h1) leave() {
	if c.connection != nil {
		_ = c.connection.Close()
		c.connection = nil
	}
}

// judge says what is wrong with an answer.
func judge(group *Group, response *http.Response, body, nonce string) error {
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s", response.Status, strings.TrimSpace(body))
	}
	if version := response.Header.Get(versionHeader); group.Version != "" && version != group.Version {
		return fmt.Errorf("answered by %q", version)
	}
	if body != nonce {
		return fmt.Errorf("answered %q to %q", body, nonce)
	}
	return nil
}

// isClosed says whether the other side has ended a connection that nobody uses.
func isClosed(connection net.Conn) bool {
	raw, err := connection.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	closed := true
	_ = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// Nothing to read is what is expected: bytes that nobody asked for are as bad as the end.
		closed = !errors.Is(err, syscall.EAGAIN)
		return true
	})
	return closed
}
