package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Answer is what a request was answered, and when. Times are seconds since 1970.
type Answer struct {
	Version string  `json:"version"`
	Peer    string  `json:"peer"`
	Route   string  `json:"route"`
	Status  int     `json:"status"`
	Error   string  `json:"error"`
	Began   float64 `json:"began"`
	Ended   float64 `json:"ended"`
	// Requests that were asked until then.
	Asked int `json:"asked"`
}

// Between two questions of somebody who waits for an answer.
const impatience = time.Millisecond

// ask is `GET /ask?target=HOST:PORT&env=ENV`: one request from here. With `&until=VERSION&within=30s` requests are made, one after
// the other on one connection, until that version answers; `until=503` waits for a status.
func ask(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
	defer client.CloseIdleConnections()
	within, _ := time.ParseDuration(query.Get("within"))
	ctx, cancel := context.WithTimeout(r.Context(), max(within, patience))
	defer cancel()
	var answer Answer
	for asked := 1; ; asked++ {
		answer = once(ctx, client, query.Get("target"), query.Get("env"))
		answer.Asked = asked
		until := query.Get("until")
		if until == "" || answer.Version == until || strconv.Itoa(answer.Status) == until || ctx.Err() != nil {
			break
		}
		pause(ctx, impatience)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func once(ctx context.Context, client *http.Client, target, env string) Answer {
	answer := Answer{Began: unix(time.Now())}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/", nil)
	if err == nil {
		if env != "" {
			request.Header.Set("X-Dev-Env", env)
		}
		var response *http.Response
		if response, err = client.Do(request); err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			err = errors.Join(err, response.Body.Close())
			answer.Version, answer.Peer = response.Header.Get(versionHeader), response.Header.Get(peerHeader)
			answer.Route, answer.Status = response.Header.Get("X-Dev-Route"), response.StatusCode
		}
	}
	if err != nil {
		answer.Error = err.Error()
	}
	answer.Ended = unix(time.Now())
	return answer
}
