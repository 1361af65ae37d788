package rules

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// pods: two servers of namespace a, of which one is local and their named port differs, a client in a, one in b.
func pods() []Pod {
	port := func(number int32) []corev1.ContainerPort {
		return []corev1.ContainerPort{{Name: "http", ContainerPort: number, Protocol: corev1.ProtocolTCP}}
	}
	server := map[string]string{"app": "server"}
	return []Pod{
		{Namespace: "a", Name: "server1", IP: "10.0.1.1", Local: true, Labels: server, Ports: port(8080)},
		{Namespace: "a", Name: "server2", IP: "10.0.2.1", Labels: server, Ports: port(9090)},
		{Namespace: "a", Name: "client", IP: "10.0.1.2", Local: true, Labels: map[string]string{"app": "client"}},
		{Namespace: "b", Name: "client", IP: "10.0.2.2", Labels: map[string]string{"app": "client"}},
	}
}

func render(t *testing.T, specs ...string) string {
	t.Helper()
	in := Input{Pods: pods(), Namespaces: map[string]map[string]string{"a": {"team": "a"}, "b": {"team": "b"}}}
	for _, spec := range specs {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "policy"}}
		if err := yaml.UnmarshalStrict([]byte(spec), &policy.Spec); err != nil {
			t.Fatal(err)
		}
		in.Policies = append(in.Policies, policy)
	}
	script, err := Render(in)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// chain returns the lines of one chain, or nil if there is none.
func chain(script, name string) []string {
	_, body, found := strings.Cut(script, "\tchain "+name+" {\n")
	if !found {
		return nil
	}
	body, _, _ = strings.Cut(body, "\t}\n")
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSpace(body), "\n") {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "comment") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestChains(t *testing.T) {
	const ingress, egress = "ingress-10-0-1-1", "egress-10-0-1-2"
	itself := "ip saddr 10.0.1.1 return"
	for _, test := range []struct {
		name, chain, spec string
		want              []string
	}{
		{"deny all", ingress, `{podSelector: {}, policyTypes: [Ingress]}`,
			[]string{itself, "counter drop"}},
		{"not selected", ingress, `{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]}`, nil},
		{"another direction", ingress, `{podSelector: {}, policyTypes: [Egress]}`, nil},
		{"allow all", ingress, `{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}`,
			[]string{itself, "meta protocol ip return", "counter drop"}},
		{"podSelector stays in its namespace", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: client}}}]}]}`,
			[]string{itself, "ip saddr { 10.0.1.2 } return", "counter drop"}},
		{"namespaceSelector", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}`,
			[]string{itself, "ip saddr { 10.0.2.2 } return", "counter drop"}},
		{"both selectors must match", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}]}]}`,
			[]string{itself, "ip saddr { 10.0.1.2, 10.0.2.2 } return", "counter drop"}},
		{"a peer that matches nothing allows nothing", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}]}`,
			[]string{itself, "counter drop"}},
		{"ipBlock", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.2.0/24, 10.0.3.0/24]}}]}]}`,
			[]string{itself, "ip saddr 10.0.0.0/8 ip saddr != 10.0.2.0/24 ip saddr != 10.0.3.0/24 return", "counter drop"}},
		{"ports", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}, {port: 8000, endPort: 8100}, {protocol: SCTP}]}]}`,
			[]string{itself, "tcp dport 80 return", "udp dport 53 return", "tcp dport 8000-8100 return", "meta l4proto sctp return", "counter drop"}},
		{"a named port is the receiver's", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}`,
			[]string{itself, "tcp dport 8080 return", "counter drop"}},
		{"a named port of each peer", egress,
			`{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: server}}}], ports: [{port: http}]}]}`,
			[]string{"ip daddr 10.0.1.2 return",
				"ip daddr { 10.0.1.1, 10.0.2.1 } ip daddr { 10.0.1.1 } tcp dport 8080 return",
				"ip daddr { 10.0.1.1, 10.0.2.1 } ip daddr { 10.0.2.1 } tcp dport 9090 return", "counter drop"}},
		{"an unknown named port allows nothing", ingress,
			`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: metrics}]}]}`,
			[]string{itself, "counter drop"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := chain(render(t, test.spec), test.chain); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestPoliciesAddUp(t *testing.T) {
	one := `{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 1}]}]}`
	two := `{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 2}]}]}`
	got := chain(render(t, one, two), "ingress-10-0-1-1")
	want := []string{"ip saddr 10.0.1.1 return", "tcp dport 1 return", "tcp dport 2 return", "counter drop"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyLocalPodsHaveChains(t *testing.T) {
	script := render(t, `{podSelector: {}, policyTypes: [Ingress, Egress]}`)
	if strings.Contains(script, "10-0-2-1") {
		t.Errorf("a chain for a pod of another node:\n%s", script)
	}
	forward := strings.Join(chain(script, "forward"), "\n")
	for _, want := range []string{"ip saddr vmap { 10.0.1.1 : jump egress-10-0-1-1, 10.0.1.2 : jump egress-10-0-1-2 }", "ip daddr vmap {"} {
		if !strings.Contains(forward, want) {
			t.Errorf("forward lacks %q:\n%s", want, forward)
		}
	}
	if input := strings.Join(chain(script, "input"), "\n"); strings.Contains(input, "ip daddr") || !strings.Contains(input, "ip saddr vmap") {
		t.Errorf("input is for what pods send to the node:\n%s", input)
	}
}

func TestNoPolicyNoChain(t *testing.T) {
	if script := render(t); strings.Contains(script, "vmap") || strings.Contains(script, "drop") {
		t.Errorf("rules without a policy:\n%s", script)
	}
}

func TestAnIllegalSelectorIsNamed(t *testing.T) {
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "bad"}}
	policy.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	policy.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}
	_, err := Render(Input{Pods: pods(), Policies: []*networkingv1.NetworkPolicy{policy}})
	if err == nil || !strings.Contains(err.Error(), "NetworkPolicy a/bad") {
		t.Errorf("got %v", err)
	}
}
