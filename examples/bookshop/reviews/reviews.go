package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"bookshop/reviews/ratingspb"
)

type review struct {
	Reviewer string `json:"reviewer"`
	Text     string `json:"text"`
	Stars    int32  `json:"stars"` // 0: not known
}

var texts = map[string][]review{
	"moby-dick": {
		{Reviewer: "reader-1", Text: "Came for the whale, stayed for the chapter on rope."},
		{Reviewer: "reader-2", Text: "Long. So is the voyage, and I did not want it to end."},
	},
}

// answer is the JSON of both routes.
type answer struct {
	Version  string            `json:"version"`
	Received map[string]string `json:"received"`
	Reviews  []review          `json:"reviews"`
	Ratings  ratings           `json:"ratings"`
}

// ratings is what the service ratings said, or why it did not.
type ratings struct {
	Version  string            `json:"version,omitempty"`
	Received map[string]string `json:"received,omitempty"`
	Stars    map[string]int32  `json:"stars,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func handler(version string, client ratingspb.RatingsClient) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /reviews/{product}", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		got, err := client.Get(ctx, &ratingspb.GetRequest{Product: r.PathValue("product")})
		reply(w, r, version, got, err)
	})
	mux.HandleFunc("POST /reviews/{product}/rate", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Reviewer string `json:"reviewer"`
			Stars    int32  `json:"stars"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		got, err := client.Rate(ctx, &ratingspb.RateRequest{
			Product: r.PathValue("product"), Reviewer: body.Reviewer, Stars: body.Stars,
		})
		if code := status.Code(err); code == codes.InvalidArgument || code == codes.NotFound {
			http.Error(w, status.Convert(err).Message(), http.StatusBadRequest)
			return
		}
		reply(w, r, version, got, err)
	})
	return keep(mux)
}

// reply leaves the stars out when ratings did not answer: reviews are worth reading without them.
func reply(w http.ResponseWriter, r *http.Request, version string, got *ratingspb.Answer, err error) {
	product := r.PathValue("product")
	a := answer{Version: version, Received: received(r.Context()), Reviews: append([]review{}, texts[product]...)}
	if err != nil {
		a.Ratings.Error = err.Error()
	} else {
		a.Ratings = ratings{Version: got.Version, Received: got.Received, Stars: got.Stars}
		for i := range a.Reviews {
			a.Reviews[i].Stars = got.Stars[a.Reviews[i].Reviewer]
		}
	}
	log.Printf("%s %s for %q (ratings error: %v)", r.Method, r.URL.Path, a.Received["baggage"], err)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(a); err != nil {
		log.Printf("answer: %v", err)
	}
}
