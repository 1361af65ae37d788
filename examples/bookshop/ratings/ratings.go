package main

import (
	"context"
	"log"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"bookshop/ratings/ratingspb"
)

// firstStars is what a product begins with.
var firstStars = map[string]map[string]int{
	"moby-dick": {"reader-1": 5, "reader-2": 4},
}

type ratings struct {
	ratingspb.UnimplementedRatingsServer
	version string
	db      *redis.Client
}

func (s *ratings) Get(ctx context.Context, r *ratingspb.GetRequest) (*ratingspb.Answer, error) {
	return s.answer(ctx, r.Product)
}

func (s *ratings) Rate(ctx context.Context, r *ratingspb.RateRequest) (*ratingspb.Answer, error) {
	if r.Stars < 1 || r.Stars > 5 {
		return nil, status.Errorf(codes.InvalidArgument, "stars: %d, expected 1 to 5", r.Stars)
	}
	if r.Reviewer == "" || len(r.Reviewer) > 64 {
		return nil, status.Errorf(codes.InvalidArgument, "reviewer: %d bytes, expected 1 to 64", len(r.Reviewer))
	}
	if _, ok := firstStars[r.Product]; !ok {
		return nil, status.Errorf(codes.NotFound, "no product %q", r.Product)
	}
	if err := s.db.HSet(ctx, key(r.Product), r.Reviewer, r.Stars).Err(); err != nil {
		return nil, status.Errorf(codes.Unavailable, "redis: %v", err)
	}
	return s.answer(ctx, r.Product)
}

func (s *ratings) answer(ctx context.Context, product string) (*ratingspb.Answer, error) {
	var stored *redis.MapStringStringCmd
	_, err := s.db.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for reviewer, stars := range firstStars[product] {
			pipe.HSetNX(ctx, key(product), reviewer, stars)
		}
		stored = pipe.HGetAll(ctx, key(product))
		return nil
	})
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "redis: %v", err)
	}
	answer := &ratingspb.Answer{Stars: map[string]int32{}, Version: s.version, Received: received(ctx)}
	for reviewer, text := range stored.Val() {
		stars, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, status.Errorf(codes.DataLoss, "stars of %s: %v", reviewer, err)
		}
		answer.Stars[reviewer] = int32(stars)
	}
	log.Printf("%d ratings of %s, for %q", len(answer.Stars), product, answer.Received["baggage"])
	return answer, nil
}

func key(product string) string { return "ratings:" + product }

// received reports which of the headers that belong to a request's whole way reached this service. One that makes
// calls of its own passes them on, as reviews does.
func received(ctx context.Context) map[string]string {
	md, _ := metadata.FromIncomingContext(ctx)
	found := map[string]string{}
	for _, name := range []string{"baggage", "traceparent", "tracestate", "x-dev-env"} {
		if values := md.Get(name); len(values) > 0 {
			found[name] = strings.Join(values, ",")
		}
	}
	return found
}
