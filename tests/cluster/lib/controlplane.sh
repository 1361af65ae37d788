# shellcheck shell=bash
# etcd, API server, controller manager, scheduler: in the machine "control", on node 1's network.

control_up() {
	machine_start control node1
	mkdir -p "$state/etcd"
	chmod 700 "$state/etcd"
	local pki=$state/pki
	machine_run control etcd "$kube_dir/etcd" \
		--name default --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn --quota-backend-bytes 4294967296 \
		--listen-client-urls "https://$control_address:2379" --advertise-client-urls "https://$control_address:2379" \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster default=http://127.0.0.1:2380 \
		--cert-file "$pki/etcd.crt" --key-file "$pki/etcd.key" --client-cert-auth --trusted-ca-file "$pki/etcd-ca.crt"
	machine_run control kube-apiserver "$kube_dir/kube-apiserver" \
		--bind-address "$control_address" --advertise-address "$control_address" --secure-port 6443 \
		--etcd-servers "https://$control_address:2379" --etcd-cafile "$pki/etcd-ca.crt" \
		--etcd-certfile "$pki/etcd-client.crt" --etcd-keyfile "$pki/etcd-client.key" \
		--tls-cert-file "$pki/kube-apiserver.crt" --tls-private-key-file "$pki/kube-apiserver.key" \
		--client-ca-file "$pki/ca.crt" --authentication-config "$here/manifests/authentication.yaml" \
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged \
		--kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
		--kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
		--service-cluster-ip-range "$service_cidr" \
		--service-account-issuer https://kubernetes.default.svc.cluster.local \
		--service-account-key-file "$pki/service-accounts.pub" --service-account-signing-key-file "$pki/service-accounts.key" \
		--requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
		--requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group \
		--requestheader-username-headers X-Remote-User \
		--proxy-client-cert-file "$pki/front-proxy-client.crt" --proxy-client-key-file "$pki/front-proxy-client.key" \
		--audit-policy-file "$here/manifests/audit-policy.yaml" --audit-log-path "$audit_log" --audit-log-maxsize 1024 \
		--profiling=false --v 1
	wait_for 60 "$state/log/kube-apiserver.log" "the API server" control_ready

	local program
	for program in controller-manager scheduler; do
		local -a flags=(
			--kubeconfig "$pki/$program.kubeconfig" --authentication-kubeconfig "$pki/$program.kubeconfig"
			--authorization-kubeconfig "$pki/$program.kubeconfig" --leader-elect=false --bind-address 127.0.0.1
			--kube-api-qps 200 --kube-api-burst 400 --profiling=false --v 1
		)
		[[ $program != controller-manager ]] || flags+=(
			--root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/service-accounts.key"
			--cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key"
			--use-service-account-credentials --service-cluster-ip-range "$service_cidr" --cluster-cidr "$cluster_cidr"
		)
		machine_run control "kube-$program" "$kube_dir/kube-$program" "${flags[@]}"
	done
}

control_ready() { [[ $(k get --raw /readyz --request-timeout 3s) == ok ]]; }

# k: kubectl as the administrator.
k() { "$kube_dir/kubectl" --kubeconfig "$admin" --cache-dir "$state/kubectl-cache" "$@"; }
