package main

import (
	"context"
	"maps"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"bookshop/ratings/ratingspb"
)

func TestReceivedReportsContextHeadersOnly(t *testing.T) {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(
		"baggage", "dev-env=ann", "baggage", "a=1", "x-dev-env", "ann", "user-agent", "test"))
	want := map[string]string{"baggage": "dev-env=ann,a=1", "x-dev-env": "ann"}
	if got := received(ctx); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRateRefusesBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		request *ratingspb.RateRequest
		want    codes.Code
	}{
		"too few stars":   {&ratingspb.RateRequest{Product: "moby-dick", Reviewer: "you", Stars: 0}, codes.InvalidArgument},
		"too many stars":  {&ratingspb.RateRequest{Product: "moby-dick", Reviewer: "you", Stars: 6}, codes.InvalidArgument},
		"no reviewer":     {&ratingspb.RateRequest{Product: "moby-dick", Stars: 3}, codes.InvalidArgument},
		"unknown product": {&ratingspb.RateRequest{Product: "x", Reviewer: "you", Stars: 3}, codes.NotFound},
	} {
		_, err := (&ratings{}).Rate(context.Background(), c.request)
		if got := status.Code(err); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
