// Package rules turns the NetworkPolicies of a cluster into the nftables
// rules of one node. It is pure: the same input gives the same text.
//
// Each local pod that a policy selects has up to two chains, one for each
// direction, that return for what a policy allows and drop the rest. Egress is
// enforced on the source's node, ingress on the destination's. Only forwarded
// packets and packets from pods to the node pass the chains: what the node
// itself sends to its pods (probes) does not.
package rules

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Table is the name of the nftables table (family ip) that holds everything.
const Table = "dev-netpol"

// Pod is a running pod of the cluster's pod network; pods on the host's
// network are not among them.
type Pod struct {
	Namespace string
	Name      string
	IP        string // IPv4
	Local     bool   // runs on this node
	Labels    map[string]string
	Ports     []corev1.ContainerPort
}

// Input is everything that the rules follow from.
type Input struct {
	Pods       []Pod
	Namespaces map[string]map[string]string // name to labels
	Policies   []*networkingv1.NetworkPolicy
}

type direction struct {
	name  string // of the chains
	peer  string // the peer's address in a packet
	kind  networkingv1.PolicyType
	rules func(*networkingv1.NetworkPolicy) []rule
}

type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

var egress = direction{"egress", "ip daddr", networkingv1.PolicyTypeEgress, func(p *networkingv1.NetworkPolicy) []rule {
	var out []rule
	for _, r := range p.Spec.Egress {
		out = append(out, rule{r.To, r.Ports})
	}
	return out
}}

var ingress = direction{"ingress", "ip saddr", networkingv1.PolicyTypeIngress, func(p *networkingv1.NetworkPolicy) []rule {
	var out []rule
	for _, r := range p.Spec.Ingress {
		out = append(out, rule{r.From, r.Ports})
	}
	return out
}}

// Render returns a script for `nft -f` that replaces the whole table in one
// transaction.
func Render(in Input) (string, error) {
	slices.SortFunc(in.Pods, func(a, b Pod) int {
		return strings.Compare(a.IP+" "+a.Namespace+"/"+a.Name, b.IP+" "+b.Namespace+"/"+b.Name)
	})
	slices.SortFunc(in.Policies, func(a, b *networkingv1.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})

	var chains strings.Builder
	dispatch := map[string][]string{}
	for i, pod := range in.Pods {
		if !pod.Local || (i > 0 && in.Pods[i-1].IP == pod.IP) {
			continue
		}
		for _, dir := range []direction{egress, ingress} {
			lines, selected, err := podRules(in, pod, dir)
			if err != nil {
				return "", err
			}
			if !selected {
				continue
			}
			chain := dir.name + "-" + strings.ReplaceAll(pod.IP, ".", "-")
			fmt.Fprintf(&chains, "\tchain %s {\n\t\tcomment \"%s/%s\"\n", chain, pod.Namespace, pod.Name)
			for _, line := range lines {
				fmt.Fprintf(&chains, "\t\t%s return\n", line)
			}
			fmt.Fprintf(&chains, "\t\tcounter drop\n\t}\n")
			dispatch[dir.name] = append(dispatch[dir.name], fmt.Sprintf("%s : jump %s", pod.IP, chain))
		}
	}

	var out strings.Builder
	fmt.Fprintf(&out, "add table ip %[1]s\ndelete table ip %[1]s\ntable ip %[1]s {\n%[2]s", Table, chains.String())
	for _, hook := range []string{"forward", "input"} {
		fmt.Fprintf(&out, "\tchain %s {\n\t\ttype filter hook %s priority filter; policy accept;\n", hook, hook)
		fmt.Fprintf(&out, "\t\tct state established,related accept\n")
		if from := dispatch[egress.name]; len(from) > 0 {
			fmt.Fprintf(&out, "\t\tip saddr vmap { %s }\n", strings.Join(from, ", "))
		}
		if to := dispatch[ingress.name]; len(to) > 0 && hook == "forward" {
			fmt.Fprintf(&out, "\t\tip daddr vmap { %s }\n", strings.Join(to, ", "))
		}
		fmt.Fprintf(&out, "\t}\n")
	}
	out.WriteString("}\n")
	return out.String(), nil
}

// podRules returns the matches of what is allowed for a pod in one direction,
// and whether any policy selects the pod for that direction at all.
func podRules(in Input, pod Pod, dir direction) (lines []string, selected bool, err error) {
	for _, policy := range in.Policies {
		if policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, dir.kind) {
			continue
		}
		applies, err := matches(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return nil, false, fmt.Errorf("NetworkPolicy %s/%s: podSelector: %w", policy.Namespace, policy.Name, err)
		}
		if !applies {
			continue
		}
		if !selected {
			lines = append(lines, dir.peer+" "+pod.IP) // a pod may always reach itself
		}
		selected = true
		for _, r := range dir.rules(policy) {
			allowed, err := ruleMatches(in, policy.Namespace, pod, dir, r)
			if err != nil {
				return nil, false, fmt.Errorf("NetworkPolicy %s/%s: %w", policy.Namespace, policy.Name, err)
			}
			lines = append(lines, allowed...)
		}
	}
	return lines, selected, nil
}

func ruleMatches(in Input, namespace string, pod Pod, dir direction, r rule) ([]string, error) {
	var lines []string
	add := func(match string, target []Pod) {
		lines = append(lines, withPorts(match, dir, r.ports, target)...)
	}
	if len(r.peers) == 0 {
		if dir.name == ingress.name {
			add("", []Pod{pod})
			return lines, nil
		}
		add("", in.Pods)
		return lines, nil
	}
	for _, peer := range r.peers {
		if block := peer.IPBlock; block != nil {
			if strings.Contains(block.CIDR, ":") {
				continue // IPv6: this cluster has none
			}
			match := dir.peer + " " + block.CIDR
			for _, except := range block.Except {
				match += " " + dir.peer + " != " + except
			}
			if dir.name == ingress.name {
				add(match, []Pod{pod})
			} else {
				add(match, in.Pods)
			}
			continue
		}
		peers, err := selectPods(in, namespace, peer)
		if err != nil {
			return nil, err
		}
		if len(peers) == 0 {
			continue
		}
		if dir.name == ingress.name {
			add(addressMatch(dir.peer, peers), []Pod{pod})
			continue
		}
		add(addressMatch(dir.peer, peers), peers)
	}
	return lines, nil
}

// withPorts combines a match of the peer's address with each port of a rule.
// Named ports are looked up in the pods that receive the connection: the pod
// itself for ingress, the peers for egress, where each peer may mean another number.
func withPorts(match string, dir direction, ports []networkingv1.NetworkPolicyPort, receivers []Pod) []string {
	if len(ports) == 0 {
		if match == "" {
			match = "meta protocol ip"
		}
		return []string{match}
	}
	join := func(parts ...string) string {
		return strings.TrimSpace(strings.Join(parts, " "))
	}
	var lines []string
	for _, port := range ports {
		protocol := "tcp"
		if port.Protocol != nil {
			protocol = strings.ToLower(string(*port.Protocol))
		}
		switch {
		case port.Port == nil:
			lines = append(lines, join(match, "meta l4proto", protocol))
		case port.Port.Type == intstr.Int && port.EndPort != nil:
			lines = append(lines, join(match, protocol, fmt.Sprintf("dport %d-%d", port.Port.IntVal, *port.EndPort)))
		case port.Port.Type == intstr.Int:
			lines = append(lines, join(match, protocol, fmt.Sprintf("dport %d", port.Port.IntVal)))
		default:
			byNumber := map[int32][]Pod{}
			for _, receiver := range receivers {
				for _, candidate := range receiver.Ports {
					if candidate.Name == port.Port.StrVal && strings.EqualFold(string(candidate.Protocol), protocol) {
						byNumber[candidate.ContainerPort] = append(byNumber[candidate.ContainerPort], receiver)
					}
				}
			}
			numbers := make([]int32, 0, len(byNumber))
			for number := range byNumber {
				numbers = append(numbers, number)
			}
			slices.Sort(numbers)
			for _, number := range numbers {
				narrowed := match
				if dir.name == egress.name {
					narrowed = join(match, addressMatch(dir.peer, byNumber[number]))
				}
				lines = append(lines, join(narrowed, protocol, fmt.Sprintf("dport %d", number)))
			}
		}
	}
	return lines
}

func selectPods(in Input, namespace string, peer networkingv1.NetworkPolicyPeer) ([]Pod, error) {
	var out []Pod
	for _, pod := range in.Pods {
		if peer.NamespaceSelector == nil {
			if pod.Namespace != namespace {
				continue
			}
		} else if ok, err := matches(peer.NamespaceSelector, in.Namespaces[pod.Namespace]); err != nil {
			return nil, fmt.Errorf("namespaceSelector: %w", err)
		} else if !ok {
			continue
		}
		if peer.PodSelector != nil {
			if ok, err := matches(peer.PodSelector, pod.Labels); err != nil {
				return nil, fmt.Errorf("podSelector: %w", err)
			} else if !ok {
				continue
			}
		}
		out = append(out, pod)
	}
	return out, nil
}

func matches(selector *metav1.LabelSelector, set map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(set)), nil
}

func addressMatch(field string, pods []Pod) string {
	var addresses []string
	for _, pod := range pods {
		if !slices.Contains(addresses, pod.IP) {
			addresses = append(addresses, pod.IP)
		}
	}
	return fmt.Sprintf("%s { %s }", field, strings.Join(addresses, ", "))
}
