package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// raw answers each connection by what the function does with it.
func raw(t *testing.T, serve func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				serve(connection, bufio.NewReader(connection))
			}()
		}
	}()
	return listener.Addr().String()
}

func good(connection net.Conn, reader *bufio.Reader) bool {
	request, err := http.ReadRequest(reader)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return false
	}
	_, err = io.WriteString(connection, "HTTP/1.1 200 OK\r\nX-Peer: 127.0.0.1\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+string(body))
	return err == nil
}

func TestAConnectionThatEndsInPlaceOfAnAnswerIsAFailureAndNothingIsAskedTwice(t *testing.T) {
	asked := make(chan struct{}, 10)
	target := raw(t, func(connection net.Conn, reader *bufio.Reader) {
		if good(connection, reader) {
			_, _ = http.ReadRequest(reader)
			asked <- struct{}{}
		}
	})
	client := &h1{group: &Group{Target: target}, keep: true}
	if first := client.ask(t.Context(), "a"); first.err != nil || first.used || first.peer != "127.0.0.1" {
		t.Fatalf("%+v", first)
	}
	second := client.ask(t.Context(), "b")
	if second.err == nil || second.at != "read" || !second.used || second.peer != "127.0.0.1" {
		t.Fatalf("%+v", second)
	}
	if len(asked) != 1 {
		t.Fatalf("asked %d times", len(asked))
	}
}

func TestAConnectionThatTheServerHasClosedIsNotUsedAgain(t *testing.T) {
	closed := make(chan struct{})
	target := raw(t, func(connection net.Conn, reader *bufio.Reader) {
		good(connection, reader)
		_ = connection.Close()
		closed <- struct{}{}
	})
	client := &h1{group: &Group{Target: target}, keep: true}
	for range 3 {
		if result := client.ask(t.Context(), "a"); result.err != nil || result.used {
			t.Fatalf("%+v", result)
		}
		<-closed
	}
}

func TestAConnectionIsRenewedWhenItIsOld(t *testing.T) {
	server := httptest.NewServer((&server{version: "base"}).handler())
	defer server.Close()
	group := &Group{Target: server.Listener.Addr().String(), Life: [2]Duration{Duration(time.Hour), Duration(time.Hour)}}
	client := &h1{group: group, keep: true}
	for number := range 3 {
		if number == 2 {
			client.end = time.Now().Add(-time.Second)
		}
		if result := client.ask(t.Context(), "a"); result.err != nil || result.used != (number == 1) {
			t.Fatalf("%d: %+v", number, result)
		}
	}
}

func TestAnAnswerOfAnotherVersionOrToAnotherQuestionIsAFailure(t *testing.T) {
	server := httptest.NewServer((&server{version: "ann"}).handler())
	defer server.Close()
	target := server.Listener.Addr().String()
	if result := (&h1{group: &Group{Target: target, Version: "ann"}}).ask(t.Context(), "a"); result.err != nil {
		t.Fatalf("%+v", result)
	}
	if result := (&h1{group: &Group{Target: target, Version: "base"}}).ask(t.Context(), "a"); result.err == nil {
		t.Fatal("the wrong version was taken")
	}
	if judge(&Group{}, &http.Response{StatusCode: 200}, "a", "b") == nil {
		t.Fatal("the wrong answer was taken")
	}
}

// h2c starts the server of this program with HTTP/2, and returns where it is.
func h2c(t *testing.T, server *server) string {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	inner := httptest.NewUnstartedServer(server.handler())
	inner.Config.Protocols = protocols
	inner.Start()
	t.Cleanup(inner.Close)
	return inner.Listener.Addr().String()
}

func TestGrpcIsAskedOnOneConnectionUntilTheServerWantsAnother(t *testing.T) {
	server := &server{version: "base"}
	group := &Group{Target: h2c(t, server), Version: "base", Share: 10}
	client := &unary{group: group, connections: newConnections(group)}
	used := func() bool {
		result := client.ask(t.Context(), "question")
		if result.err != nil {
			t.Fatalf("%+v", result)
		}
		return result.used
	}
	if used() || !used() {
		t.Fatal("the connection is not kept")
	}
	server.draining.Store(true)
	used()
	server.draining.Store(false)
	deadline := time.Now().Add(10 * time.Second)
	for used() {
		if time.Now().After(deadline) {
			t.Fatal("the connection is kept against the server's will")
		}
	}
}

func TestAStreamIsCountedWithItsMessagesAndFailsWhenItEndsEarly(t *testing.T) {
	group := &Group{Target: h2c(t, &server{version: "base"}), Version: "base", Silence: Duration(time.Millisecond), Lasts: [2]Duration{Duration(3 * time.Millisecond)}}
	client := &stream{group: group, connections: newConnections(group)}
	if result := client.ask(t.Context(), "a"); result.err != nil || result.messages != 3 {
		t.Fatalf("%+v", result)
	}
	broken := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begin(w)
		_, _ = w.Write(frame([]byte("0")))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	broken.Config.Protocols = new(http.Protocols)
	broken.Config.Protocols.SetUnencryptedHTTP2(true)
	broken.Start()
	defer broken.Close()
	wrong := &Group{Target: broken.Listener.Addr().String(), Silence: Duration(time.Second), Lasts: [2]Duration{Duration(3 * time.Second)}}
	early := &stream{group: wrong, connections: newConnections(wrong)}
	if result := early.ask(t.Context(), "b"); result.err == nil || result.messages != 1 {
		t.Fatalf("%+v", result)
	}
	// A client that is told to stop gives its stream back.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if result := client.ask(ctx, "c"); result.err != nil || !result.given {
		t.Fatalf("%+v", result)
	}
}

func TestAServerThatSpeaksFirstIsWaitedFor(t *testing.T) {
	server := &server{version: "base"}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go server.greet(listener)
	group := &Group{Target: listener.Addr().String(), Life: [2]Duration{Duration(time.Hour)}}
	client := &tcp{group: group, protocol: greeted{version: "base"}}
	for number := range 2 {
		if result := client.ask(t.Context(), "a"); result.err != nil || result.used != (number > 0) {
			t.Fatalf("%+v", result)
		}
	}
	client.leave()
	wrong := &tcp{group: group, protocol: greeted{version: "ann"}}
	if result := wrong.ask(t.Context(), "a"); result.err == nil {
		t.Fatal("the wrong version was taken")
	}
}

func TestQuantilesAreTheUpperEndsOfSteps(t *testing.T) {
	var taken histogram
	for number := range 100 {
		taken.add(time.Duration(number+1) * time.Millisecond)
	}
	for part, wanted := range map[float64]float64{0.5: 50, 0.99: 99, 1: 100} {
		if got := taken.quantile(part); got < wanted || got > wanted*step*1.01 {
			t.Fatalf("%v: %v", part, got)
		}
	}
}
