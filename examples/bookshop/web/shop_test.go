package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

var sent = map[string]string{
	"baggage":     "dev-env=ann,a=1",
	"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	"x-dev-env":   "ann",
}

// backend stands for details or reviews: it reports the headers that reached it.
func backend(t *testing.T, format string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := map[string]string{}
		for name := range r.Header {
			got[strings.ToLower(name)] = r.Header.Get(name)
		}
		text, _ := json.Marshal(got)
		fmt.Fprintf(w, format, text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func start(t *testing.T, change func(*shop)) (*shop, string) {
	s := &shop{
		version: "blue",
		details: backend(t, `{"version": "d1", "received": %s, "book": {"title": "Moby-Dick"}}`),
		reviews: backend(t, `{"version": "r1", "received": %s, "reviews": [{"reviewer": "reader-1", "text": "<b>", "stars": 3}],
			"ratings": {"version": "s1", "received": {}, "stars": {"you": 2}}}`),
		client: &http.Client{Transport: passOn{http.DefaultTransport}},
		live:   newLive(),
	}
	if change != nil {
		change(s)
	}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	return s, server.URL
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, _ := http.NewRequest("GET", url, nil)
	for name, value := range sent {
		request.Header.Set(name, value)
	}
	request.Header.Set("Cookie", "private=1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestContextHeadersReachBothBackends(t *testing.T) {
	_, url := start(t, nil)
	code, body := get(t, url+"/api/product")
	var v view
	if err := json.Unmarshal([]byte(body), &v); err != nil || code != http.StatusOK {
		t.Fatalf("%d %v %s", code, err, body)
	}
	if v.Baggage != sent["baggage"] || !maps.Equal(v.Received["web"], sent) {
		t.Errorf("web received %v", v.Received["web"])
	}
	for _, service := range []string{"details", "reviews"} {
		for name, value := range sent {
			if got := v.Received[service][name]; got != value {
				t.Errorf("%s: %s received %q, want %q", name, service, got, value)
			}
		}
		if _, ok := v.Received[service]["cookie"]; ok {
			t.Errorf("a cookie was passed on to %s", service)
		}
	}
	want := map[string]string{"web": "blue", "details": "d1", "reviews": "r1", "ratings": "s1"}
	if !maps.Equal(v.Versions, want) {
		t.Errorf("versions %v, want %v", v.Versions, want)
	}
}

func TestPage(t *testing.T) {
	_, url := start(t, nil)
	_, body := get(t, url+"/")
	for _, want := range []string{"Moby-Dick", "★★★☆☆", "&lt;b&gt;", "<b>blue</b>", "<b>s1</b>", "dev-env=ann,a=1"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
}

func TestMissingService(t *testing.T) {
	_, url := start(t, func(s *shop) { s.reviews = "http://127.0.0.1:1" })
	code, body := get(t, url+"/api/product")
	var v view
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	if code != http.StatusBadGateway || v.Errors["reviews"] == "" || v.Errors["ratings"] == "" || v.Book.Title != "Moby-Dick" {
		t.Errorf("got %d %s", code, body)
	}
	if code, body := get(t, url+"/"); code != http.StatusOK || !strings.Contains(body, "missing: ") {
		t.Errorf("page: %d %s", code, body)
	}
}

func TestRate(t *testing.T) {
	_, base := start(t, nil)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for stars, want := range map[string]int{"4": http.StatusSeeOther, "6": http.StatusBadRequest, "many": http.StatusBadRequest} {
		response, err := client.PostForm(base+"/rate", url.Values{"reviewer": {"you"}, "stars": {stars}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("stars=%s: got %d, want %d", stars, response.StatusCode, want)
		}
	}
}

func TestLive(t *testing.T) {
	s, url := start(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url+"/live", &websocket.DialOptions{HTTPHeader: http.Header{"Baggage": {"dev-env=ann"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	var first, echo liveMessage
	if err := wsjson.Read(ctx, conn, &first); err != nil || first.Version != "blue" || first.Received["baggage"] != "dev-env=ann" {
		t.Fatalf("%+v %v", first, err)
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := wsjson.Read(ctx, conn, &echo); err != nil || echo.Echo != "hello" || echo.Version != "blue" {
		t.Fatalf("%+v %v", echo, err)
	}
	s.live.goAway()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("on goAway: %v", err)
	}
	s.live.wait()
}
