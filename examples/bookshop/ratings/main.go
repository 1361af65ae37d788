// ratings: stars per product and reviewer, kept in Redis, served over gRPC.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"bookshop/ratings/ratingspb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	version := cmp.Or(os.Getenv("DEV_VERSION"), "local")
	db := redis.NewClient(&redis.Options{
		Addr:     cmp.Or(os.Getenv("REDIS_ADDR"), "localhost:6379"),
		Password: os.Getenv("REDIS_PASSWORD"),
	})
	defer db.Close()

	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), ":9090"))
	if err != nil {
		return err
	}
	// Behind a ClusterIP one HTTP/2 connection stays with one pod: an end to its life lets clients find new pods.
	server := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionAge:      time.Minute,
		MaxConnectionAgeGrace: 10 * time.Second,
	}))
	ratingspb.RegisterRatingsServer(server, &ratings{version: version, db: db})
	checks := health.NewServer()
	checks.SetServingStatus(ratingspb.Ratings_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(server, checks)
	go watchRedis(ctx, db, checks)
	go func() {
		<-ctx.Done()
		checks.Shutdown()
		time.AfterFunc(10*time.Second, server.Stop)
		server.GracefulStop()
	}()
	log.Printf("ratings %s listens on %s", version, listener.Addr())
	if err := server.Serve(listener); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// watchRedis keeps the health of the service Ratings (asked by the readiness probe) in step with Redis. The health of
// the whole server (asked by the liveness probe) does not depend on it: a restart would mend nothing.
func watchRedis(ctx context.Context, db *redis.Client, checks *health.Server) {
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN // so that the first answer is logged, too
	for {
		now := grpc_health_v1.HealthCheckResponse_SERVING
		err := db.Ping(ctx).Err()
		if err != nil {
			now = grpc_health_v1.HealthCheckResponse_NOT_SERVING
		}
		if ctx.Err() != nil {
			return
		}
		if now != last {
			log.Printf("redis: %v (error: %v)", now, err)
			checks.SetServingStatus(ratingspb.Ratings_ServiceDesc.ServiceName, now)
			last = now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
