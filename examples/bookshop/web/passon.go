package main

import (
	"context"
	"net/http"
	"strings"
)

// contextHeaders belong to a request's whole way, not to one hop: whom it is for (baggage, x-dev-env) and which trace it
// is part of. Every service passes them on with every call that it makes.
var contextHeaders = []string{"baggage", "traceparent", "tracestate", "x-dev-env"}

// keep puts the context headers of each request into its context.
func keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept := http.Header{}
		for _, name := range contextHeaders {
			if values := r.Header.Values(name); len(values) > 0 {
				kept[http.CanonicalHeaderKey(name)] = values
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keptKey{}, kept)))
	})
}

type keptKey struct{}

// passOn adds what keep put into the context to each request made with that context.
type passOn struct{ next http.RoundTripper }

func (p passOn) RoundTrip(r *http.Request) (*http.Response, error) {
	if kept, ok := r.Context().Value(keptKey{}).(http.Header); ok {
		r = r.Clone(r.Context())
		for name, values := range kept {
			r.Header[name] = values
		}
	}
	return p.next.RoundTrip(r)
}

// received reports what keep put into the context.
func received(ctx context.Context) map[string]string {
	kept, _ := ctx.Value(keptKey{}).(http.Header)
	found := map[string]string{}
	for name, values := range kept {
		found[strings.ToLower(name)] = strings.Join(values, ",")
	}
	return found
}
