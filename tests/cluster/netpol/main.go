// netpol enforces NetworkPolicies on one node of the bundled test cluster.
//
// It watches policies, pods and namespaces, keeps one nftables table of its
// node's network namespace in step with them, and serves the CNI plugin in
// ./cni, so that a new pod starts only with its rules in force.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	node := flag.String("node", "", "name of this node")
	socket := flag.String("socket", "", "unix socket for the CNI plugin")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *node, *socket); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, kubeconfig, node, socket string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "dev-netpol"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	agent, err := newAgent(ctx, client, node)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	return agent.serve(ctx, socket)
}
