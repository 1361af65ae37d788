package main

import (
	"context"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// contextHeaders belong to a request's whole way, not to one hop: whom it is for (baggage, x-dev-env) and which trace it
// is part of. Every service passes them on with every call that it makes.
var contextHeaders = []string{"baggage", "traceparent", "tracestate", "x-dev-env"}

// keep puts the context headers of each request into its context.
func keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		md := metadata.MD{}
		for _, name := range contextHeaders {
			md.Append(name, r.Header.Values(name)...)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), keptKey{}, md)))
	})
}

type keptKey struct{}

// passOn adds what keep put into the context to a gRPC call.
func passOn(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker,
	options ...grpc.CallOption) error {
	if kept, ok := ctx.Value(keptKey{}).(metadata.MD); ok {
		set, _ := metadata.FromOutgoingContext(ctx)
		ctx = metadata.NewOutgoingContext(ctx, metadata.Join(set, kept))
	}
	return call(ctx, method, request, reply, conn, options...)
}

// received reports what keep put into the context.
func received(ctx context.Context) map[string]string {
	kept, _ := ctx.Value(keptKey{}).(metadata.MD)
	found := map[string]string{}
	for name, values := range kept {
		found[name] = strings.Join(values, ",")
	}
	return found
}
