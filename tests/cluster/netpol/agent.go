package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"dev/tests/cluster/netpol/rules"
	"dev/tests/cluster/netpol/wire"
)

// agent owns the node's table. Whatever happens only marks it as stale; one
// goroutine derives the rules again from everything that is known.
type agent struct {
	node       string
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister

	mu       sync.Mutex
	changed  *sync.Cond           // broadcast after every pass
	local    map[types.UID]string // addresses given by CNI, before the pod's status has them
	released map[types.UID]bool   // sandbox is gone, the status still has the address
	wanted   uint64               // number of changes seen
	inForce  uint64               // the changes that the table takes into account
	failure  error                // of the last pass

	applied string
	wake    chan struct{}
}

// patience is how long a new pod waits for the watch to deliver it; it is
// scheduled before its sandbox is made, so this is a matter of milliseconds.
const patience = 10 * time.Second

func newAgent(ctx context.Context, client kubernetes.Interface, node string) (*agent, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(stripManagedFields))
	a := &agent{
		node:       node,
		pods:       factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(),
		policies:   factory.Networking().V1().NetworkPolicies().Lister(),
		local:      map[types.UID]string{},
		released:   map[types.UID]bool{},
		wake:       make(chan struct{}, 1),
	}
	a.changed = sync.NewCond(&a.mu)
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { a.mark() },
		UpdateFunc: func(any, any) { a.mark() },
		DeleteFunc: a.deleted,
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(),
		factory.Core().V1().Namespaces().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return nil, err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("%v: no list", kind)
		}
	}
	go a.loop(ctx)
	return a, nil
}

// stripManagedFields keeps what the rules never read out of memory.
func stripManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// mark notes that something changed and returns the number of the change.
func (a *agent) mark() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.markLocked()
}

func (a *agent) markLocked() uint64 {
	a.wanted++
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return a.wanted
}

func (a *agent) deleted(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok {
		a.mu.Lock()
		delete(a.local, pod.UID)
		delete(a.released, pod.UID)
		a.mu.Unlock()
	}
	a.mark()
}

func (a *agent) loop(ctx context.Context) {
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-retry.C:
		}
		a.mu.Lock()
		change := a.wanted
		a.mu.Unlock()
		err := a.apply(ctx)
		if err != nil {
			log.Printf("not applied: %v", err)
			retry.Reset(time.Second)
		}
		a.mu.Lock()
		a.failure = err
		if err == nil {
			a.inForce = change
		}
		a.changed.Broadcast()
		a.mu.Unlock()
	}
}

func (a *agent) apply(ctx context.Context) error {
	input, err := a.observe()
	if err != nil {
		return err
	}
	script, err := rules.Render(input)
	if err != nil {
		return err
	}
	if script == a.applied {
		return nil
	}
	started := time.Now()
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(script)
	if output, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, output, script)
	}
	a.applied = script
	log.Printf("applied %d policies to %d pods in %s", len(input.Policies), len(input.Pods), time.Since(started).Round(time.Millisecond))
	return nil
}

func (a *agent) observe() (rules.Input, error) {
	pods, err := a.pods.List(labels.Everything())
	if err != nil {
		return rules.Input{}, err
	}
	namespaces, err := a.namespaces.List(labels.Everything())
	if err != nil {
		return rules.Input{}, err
	}
	policies, err := a.policies.List(labels.Everything())
	if err != nil {
		return rules.Input{}, err
	}
	in := rules.Input{Namespaces: map[string]map[string]string{}, Policies: policies}
	for _, namespace := range namespaces {
		in.Namespaces[namespace.Name] = namespace.Labels
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, pod := range pods {
		address := pod.Status.PodIP
		if given, ok := a.local[pod.UID]; ok {
			address = given
		}
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if address == "" || ended || a.released[pod.UID] || pod.Spec.HostNetwork {
			continue
		}
		entry := rules.Pod{
			Namespace: pod.Namespace, Name: pod.Name, IP: address, Labels: pod.Labels,
			Local: pod.Spec.NodeName == a.node,
		}
		for _, container := range pod.Spec.Containers {
			entry.Ports = append(entry.Ports, container.Ports...)
		}
		for _, container := range pod.Spec.InitContainers {
			entry.Ports = append(entry.Ports, container.Ports...) // side-cars
		}
		in.Pods = append(in.Pods, entry)
	}
	return in, nil
}

func (a *agent) serve(ctx context.Context, socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	log.Printf("node %s: serving on %s", a.node, socket)
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			var request wire.Request
			var response wire.Response
			if err := json.NewDecoder(connection).Decode(&request); err != nil {
				response.Error = err.Error()
			} else if err := a.handle(request); err != nil {
				response.Error = err.Error()
			}
			if err := json.NewEncoder(connection).Encode(response); err != nil {
				log.Printf("%s %s/%s: %v", request.Op, request.Namespace, request.Name, err)
			}
		}()
	}
}

func (a *agent) handle(request wire.Request) error {
	uid := types.UID(request.UID)
	a.mu.Lock()
	switch request.Op {
	case "add":
		a.local[uid] = request.IP
		delete(a.released, uid)
	case "del":
		delete(a.local, uid)
		if _, err := a.pods.Pods(request.Namespace).Get(request.Name); err == nil {
			a.released[uid] = true
		}
		a.mu.Unlock()
		a.mark()
		return nil
	default:
		a.mu.Unlock()
		return fmt.Errorf("unknown operation %q", request.Op)
	}
	a.mu.Unlock()

	deadline := time.Now().Add(patience)
	alarm := time.AfterFunc(patience, a.changed.Broadcast)
	defer alarm.Stop()
	var change uint64 // the first one that is sure to include the pod
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if change == 0 {
			if pod, err := a.pods.Pods(request.Namespace).Get(request.Name); err == nil && pod.UID == uid {
				change = a.markLocked()
			}
		}
		if change != 0 && a.inForce >= change {
			return nil
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("pod %s/%s: timed out (seen in the watch: %t; last pass: %v)", request.Namespace, request.Name, change != 0, a.failure)
		}
		a.changed.Wait()
	}
}
