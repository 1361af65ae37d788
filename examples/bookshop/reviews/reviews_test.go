package main

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"bookshop/reviews/ratingspb"
)

// fakeRatings answers over a real gRPC connection and reports the metadata that reached it.
type fakeRatings struct {
	ratingspb.UnimplementedRatingsServer
	err error
}

func (f *fakeRatings) Get(ctx context.Context, _ *ratingspb.GetRequest) (*ratingspb.Answer, error) {
	if f.err != nil {
		return nil, f.err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	got := map[string]string{}
	for name, values := range md {
		got[name] = strings.Join(values, ",")
	}
	return &ratingspb.Answer{Version: "green", Received: got, Stars: map[string]int32{"reader-1": 3}}, nil
}

func (f *fakeRatings) Rate(ctx context.Context, r *ratingspb.RateRequest) (*ratingspb.Answer, error) {
	if r.Stars > 5 {
		return nil, status.Error(codes.InvalidArgument, "too many")
	}
	return &ratingspb.Answer{Version: "green", Stars: map[string]int32{r.Reviewer: r.Stars}}, nil
}

// start serves reviews in front of a fake ratings and gives its URL.
func start(t *testing.T, fake *fakeRatings) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	ratingspb.RegisterRatingsServer(server, fake)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUnaryInterceptor(passOn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	front := httptest.NewServer(handler("blue", ratingspb.NewRatingsClient(conn)))
	t.Cleanup(front.Close)
	return front.URL
}

func call(t *testing.T, request *http.Request) (int, answer) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var a answer
	if response.StatusCode == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
			t.Fatal(err)
		}
	}
	return response.StatusCode, a
}

func TestContextHeadersReachRatings(t *testing.T) {
	request, _ := http.NewRequest("GET", start(t, &fakeRatings{})+"/reviews/moby-dick", nil)
	sent := map[string]string{
		"baggage":     "dev-env=ann,a=1",
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"x-dev-env":   "ann",
	}
	for name, value := range sent {
		request.Header.Set(name, value)
	}
	request.Header.Set("Cookie", "private=1")
	_, a := call(t, request)
	if !maps.Equal(a.Received, sent) {
		t.Errorf("reviews received %v", a.Received)
	}
	for name, value := range sent {
		if a.Ratings.Received[name] != value {
			t.Errorf("%s: ratings received %q, want %q", name, a.Ratings.Received[name], value)
		}
	}
	if _, ok := a.Ratings.Received["cookie"]; ok {
		t.Error("a cookie was passed on")
	}
	if a.Version != "blue" || a.Ratings.Version != "green" || a.Reviews[0].Stars != 3 || a.Reviews[1].Stars != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestWithoutRatings(t *testing.T) {
	request, _ := http.NewRequest("GET", start(t, &fakeRatings{err: status.Error(codes.Unavailable, "gone")})+"/reviews/moby-dick", nil)
	code, a := call(t, request)
	if code != http.StatusOK || len(a.Reviews) != 2 || !strings.Contains(a.Ratings.Error, "gone") {
		t.Errorf("got %d %+v", code, a)
	}
}

func TestRate(t *testing.T) {
	url := start(t, &fakeRatings{}) + "/reviews/moby-dick/rate"
	for body, want := range map[string]int{
		`{"reviewer": "reader-1", "stars": 2}`: http.StatusOK,
		`{"reviewer": "reader-1", "stars": 9}`: http.StatusBadRequest,
		`nonsense`:                             http.StatusBadRequest,
	} {
		request, _ := http.NewRequest("POST", url, strings.NewReader(body))
		code, a := call(t, request)
		if code != want || (want == http.StatusOK && a.Reviews[0].Stars != 2) {
			t.Errorf("%s: got %d %+v, want %d", body, code, a, want)
		}
	}
}
