package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// tcp is a client of a protocol that is not HTTP. It keeps its connection for as long as the group says, then has a new one.
type tcp struct {
	group    *Group
	protocol protocol

	connection net.Conn
	reader     *bufio.Reader
	end, last  time.Time
}

type protocol interface {
	// hello is what happens first on a connection.
	hello(reader *bufio.Reader) error
	// ask wants the nonce back.
	ask(to io.Writer, reader *bufio.Reader, nonce string) error
}

func (c *tcp) ask(ctx context.Context, nonce string) (result outcome) {
	if c.connection != nil && (time.Now().After(c.end) || isClosed(c.connection)) {
		if !time.Now().After(c.end) {
			// Nothing may end such a connection but its client: it has state.
			c.leave()
			return outcome{err: io.EOF, at: "read", used: true, idle: time.Since(c.last)}
		}
		c.leave()
	}
	if c.connection == nil {
		connection, err := dial(context.WithoutCancel(ctx), c.group.Target)
		if err != nil {
			return outcome{err: err, at: "connect"}
		}
		c.connection, c.reader = connection, bufio.NewReader(connection)
		c.end = c.group.end()
		_ = connection.SetDeadline(time.Now().Add(patience))
		if err := c.protocol.hello(c.reader); err != nil {
			c.leave()
			return outcome{err: err, at: "read"}
		}
	} else {
		result.used, result.idle = true, time.Since(c.last)
	}
	result.local = c.connection.LocalAddr().String()
	_ = c.connection.SetDeadline(time.Now().Add(patience))
	if err := c.protocol.ask(c.connection, c.reader, nonce); err != nil {
		result.err, result.at = err, "read"
		c.leave()
	}
	c.last = time.Now()
	return result
}

func (c *tcp) leave() {
	if c.connection != nil {
		_ = c.connection.Close()
		c.connection = nil
	}
}

// redis asks a Redis server to repeat something.
type redis struct{}

func (redis) hello(*bufio.Reader) error { return nil }

func (redis) ask(to io.Writer, reader *bufio.Reader, nonce string) error {
	fmt.Fprintf(to, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(nonce), nonce)
	return expect(reader, fmt.Sprintf("$%d\r\n%s\r\n", len(nonce), nonce))
}

// greeted waits for the server to speak first.
type greeted struct{ version string }

func (p greeted) hello(reader *bufio.Reader) error {
	line, err := reader.ReadString('\n')
	if err == nil && (!strings.HasPrefix(line, "hello from ") || !strings.HasSuffix(line, p.version+"\n")) {
		err = fmt.Errorf("greeted with %q", line)
	}
	return err
}

func (greeted) ask(to io.Writer, reader *bufio.Reader, nonce string) error {
	fmt.Fprintf(to, "%s\n", nonce)
	return expect(reader, nonce+"\n")
}

func expect(reader *bufio.Reader, wanted string) error {
	got := make([]byte, len(wanted))
	if _, err := io.ReadFull(reader, got); err != nil {
		return err
	}
	if string(got) != wanted {
		return fmt.Errorf("answered %q in place of %q", got, wanted)
	}
	return nil
}
