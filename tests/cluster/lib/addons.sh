# shellcheck shell=bash
# What a cluster holds from the start: rights of our own programs, CoreDNS.

addons_apply() {
	local replicas=$1
	k apply -f "$here/manifests/rbac.yaml" >/dev/null
	sed -e "s/@DNS_ADDRESS@/$dns_address/" -e "s/@VERSION@/$coredns_version/" -e "s/@REPLICAS@/$replicas/" \
		"$here/manifests/coredns.yaml" | k apply -f - >/dev/null
}

# addons_dns: a pod asks for a name. The pod is gone afterwards.
addons_dns() {
	local phase=''
	k -n kube-system rollout status deployment/coredns --timeout 60s >/dev/null ||
		die "CoreDNS does not become ready" "kubectl -n kube-system describe pods -l k8s-app=kube-dns"
	k -n kube-system delete pod dns-check --ignore-not-found --grace-period 0 --force >/dev/null 2>&1
	k -n kube-system run dns-check --image dev.local/testbox:1 --restart Never --image-pull-policy Never -- \
		dns -timeout 20s kubernetes.default.svc.cluster.local >/dev/null
	k -n kube-system wait pod/dns-check --for 'jsonpath={.status.phase}=Succeeded' --timeout 60s >/dev/null || {
		phase=$(k -n kube-system get pod dns-check -o 'jsonpath={.status.phase}')
		k -n kube-system logs dns-check >&2 || true
		die "DNS does not answer in a pod (the pod dns-check is $phase)" "kubectl -n kube-system describe pod dns-check"
	}
	k -n kube-system delete pod dns-check --grace-period 0 --force >/dev/null 2>&1
}
