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
	control_apiserver
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

control_apiserver() {
	local pki=$state/pki
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
}

control_ready() { [[ $(k get --raw /readyz --request-timeout 3s) == ok ]]; }

# k: kubectl as the administrator.
k() { "$kube_dir/kubectl" --kubeconfig "$admin" --cache-dir "$state/kubectl-cache" "$@"; }

# control_pause SECONDS: the API server is killed, and started again after so long; everything else goes on.
control_pause() {
	[[ ${1:-} =~ ^[0-9]+$ ]] || usage_error "pause-api ${1:-without a number}: expected a number of seconds"
	need_root
	kube_dir=$(build_directory kube)
	local file=$state/machines/kube-apiserver.program
	process_of "$file" >/dev/null || die "the API server of the cluster $name does not run" "cluster status"
	trap 'control_resume' EXIT # also where this is interrupted
	say "the API server is away for $1 s"
	pkill -KILL -P "$(process_of "$file")" # nsenter started it, and ends with it
	sleep "$1"
}

control_resume() {
	wait_for 10 "$state/log/kube-apiserver.log" "the end of the API server" control_apiserver_gone
	control_apiserver
	wait_for 60 "$state/log/kube-apiserver.log" "the API server" control_ready
	say "the API server is back"
}

control_apiserver_gone() { ! process_of "$state/machines/kube-apiserver.program"; }
