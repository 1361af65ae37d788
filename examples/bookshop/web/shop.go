package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const product = "moby-dick"

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"services": func() []string { return []string{"web", "details", "reviews", "ratings"} },
	"stars":    func(n int) string { return strings.Repeat("★", n) + strings.Repeat("☆", 5-n) },
}).Parse(pageText))

type shop struct {
	version, greeting, reviews, details string
	client                              *http.Client
	live                                *live
}

// view is the JSON of /api/product and what the page shows.
type view struct {
	Greeting string            `json:"greeting"`
	Product  string            `json:"product"`
	Book     book              `json:"book"`
	Reviews  []review          `json:"reviews"`
	Stars    map[string]int    `json:"stars"`    // reviewer → 1 to 5
	Versions map[string]string `json:"versions"` // service → the version that answered
	// Baggage is the header as it reached web; Received holds all context headers as they reached each service.
	Baggage  string                       `json:"baggage"`
	Received map[string]map[string]string `json:"received"`
	Errors   map[string]string            `json:"errors,omitempty"` // service → why it did not answer
}

type book struct {
	Title  string `json:"title"`
	Author string `json:"author"`
	Year   int    `json:"year"`
	Pages  int    `json:"pages"`
}

type review struct {
	Reviewer string `json:"reviewer"`
	Text     string `json:"text"`
	Stars    int    `json:"stars"` // 0: not known
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /api/product", s.serveAPI)
	mux.HandleFunc("POST /rate", s.rate)
	mux.HandleFunc("GET /live", s.live.handler(s.version))
	return keep(mux)
}

// serveAPI answers 502 when a service is missing: programs should not have to look for that. The body is the same.
func (s *shop) serveAPI(w http.ResponseWriter, r *http.Request) {
	v := s.view(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if len(v.Errors) > 0 {
		w.WriteHeader(http.StatusBadGateway)
	}
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Printf("answer: %v", err)
	}
}

// servePage shows what there is: a page without stars is better than none.
func (s *shop) servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, s.view(r.Context())); err != nil {
		log.Printf("page: %v", err)
	}
}

// view asks details and reviews at the same time.
func (s *shop) view(ctx context.Context) view {
	got := received(ctx)
	v := view{
		Greeting: s.greeting,
		Product:  product,
		Versions: map[string]string{"web": s.version},
		Baggage:  got["baggage"],
		Received: map[string]map[string]string{"web": got},
		Errors:   map[string]string{},
	}
	var details struct {
		hop
		Book book `json:"book"`
	}
	var reviews struct {
		hop
		Reviews []review `json:"reviews"`
		Ratings struct {
			hop
			Stars map[string]int `json:"stars"`
			Error string         `json:"error"`
		} `json:"ratings"`
	}
	var detailsErr, reviewsErr error
	var both sync.WaitGroup
	both.Go(func() { detailsErr = s.call(ctx, "GET", s.details+"/details/"+product, nil, &details) })
	both.Go(func() { reviewsErr = s.call(ctx, "GET", s.reviews+"/reviews/"+product, nil, &reviews) })
	both.Wait()

	v.Book, v.Reviews, v.Stars = details.Book, reviews.Reviews, reviews.Ratings.Stars
	v.add("details", details.hop, detailsErr)
	v.add("reviews", reviews.hop, reviewsErr)
	var ratingsErr error
	if reviewsErr != nil {
		ratingsErr = errors.New("not asked, because reviews did not answer")
	} else if reviews.Ratings.Error != "" {
		ratingsErr = errors.New(reviews.Ratings.Error)
	}
	v.add("ratings", reviews.Ratings.hop, ratingsErr)
	log.Printf("product for %q: %v %v", v.Baggage, v.Versions, v.Errors)
	return v
}

// hop is what every service says about itself.
type hop struct {
	Version  string            `json:"version"`
	Received map[string]string `json:"received"`
}

func (v *view) add(service string, h hop, err error) {
	if err != nil {
		v.Errors[service] = err.Error()
		return
	}
	if h.Received == nil {
		h.Received = map[string]string{}
	}
	v.Versions[service], v.Received[service] = h.Version, h.Received
}

// rate takes the page's form and leads back to the page.
func (s *shop) rate(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	stars, err := strconv.Atoi(r.FormValue("stars"))
	if err != nil || stars < 1 || stars > 5 {
		http.Error(w, "stars: expected 1 to 5", http.StatusBadRequest)
		return
	}
	body, err := json.Marshal(map[string]any{"reviewer": r.FormValue("reviewer"), "stars": stars})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var answer struct {
		Ratings struct {
			Error string `json:"error"`
		} `json:"ratings"`
	}
	err = s.call(r.Context(), "POST", s.reviews+"/reviews/"+product+"/rate", bytes.NewReader(body), &answer)
	if err == nil && answer.Ratings.Error != "" {
		err = errors.New(answer.Ratings.Error)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *shop) call(ctx context.Context, method, target string, body io.Reader, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("%s: %s: %s", target, response.Status, strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
