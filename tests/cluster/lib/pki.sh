# shellcheck shell=bash
# Certificates and kubeconfigs. Made for each start, gone with the state directory.

pki_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

pki_authority() { # NAME
	pki_key "$pki/$1.key"
	openssl req -x509 -new -key "$pki/$1.key" -subj "/CN=dev-cluster-$1" -days 3650 -out "$pki/$1.crt" \
		-addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign,digitalSignature' 2>/dev/null
}

# pki_certificate AUTHORITY NAME SUBJECT [ALTERNATIVE NAMES]: for clients, and for servers where names are given.
pki_certificate() {
	local authority=$1 file=$pki/$2 subject=$3 names=${4:-} usage=clientAuth
	[[ -z $names ]] || usage=serverAuth,clientAuth
	pki_key "$file.key"
	openssl req -new -key "$file.key" -subj "$subject" -out "$file.csr"
	openssl x509 -req -in "$file.csr" -CA "$pki/$authority.crt" -CAkey "$pki/$authority.key" -days 3650 -out "$file.crt" \
		-set_serial "0x$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" -extfile <(
			echo "basicConstraints=critical,CA:FALSE"
			echo "keyUsage=critical,digitalSignature"
			echo "extendedKeyUsage=$usage"
			[[ -z $names ]] || echo "subjectAltName=$names"
		) 2>/dev/null
	rm "$file.csr"
}

pki_kubeconfig() { # FILE USER NAME-OF-CERTIFICATE
	local part
	for part in ca.crt "$3.crt" "$3.key"; do
		[[ -s $pki/$part ]] || die "$pki/$part: missing"
	done
	(
		umask 077
		cat >"$1.new" <<-END
			apiVersion: v1
			kind: Config
			current-context: $context
			clusters:
			- name: $context
			  cluster:
			    server: $server
			    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
			users:
			- name: $2
			  user:
			    client-certificate-data: $(base64 -w0 "$pki/$3.crt")
			    client-key-data: $(base64 -w0 "$pki/$3.key")
			contexts:
			- name: $context
			  context: {cluster: $context, user: $2}
		END
	)
	mv "$1.new" "$1"
}

# pki_control: the authorities, the control plane's certificates and the administrator's kubeconfig.
pki_control() {
	pki=$state/pki
	mkdir -p "$pki"
	chmod 700 "$pki"
	pki_authority ca
	pki_authority etcd-ca
	pki_authority front-proxy-ca
	openssl genrsa -out "$pki/service-accounts.key" 2048 2>/dev/null
	openssl rsa -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub" 2>/dev/null

	local api=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
	api+=,DNS:localhost,IP:127.0.0.1,IP:$control_address,IP:$service_first
	pki_certificate ca kube-apiserver /CN=kube-apiserver "$api"
	pki_certificate ca kubelet-client /O=dev:kubelet-clients/CN=kube-apiserver
	pki_certificate etcd-ca etcd /CN=etcd "IP:$control_address,IP:127.0.0.1"
	pki_certificate etcd-ca etcd-client /CN=kube-apiserver
	pki_certificate front-proxy-ca front-proxy-client /CN=front-proxy-client
	pki_client admin /O=system:masters/CN=dev-admin "$admin" admin
	pki_client controller-manager /CN=system:kube-controller-manager "$state/pki/controller-manager.kubeconfig" system:kube-controller-manager
	pki_client scheduler /CN=system:kube-scheduler "$state/pki/scheduler.kubeconfig" system:kube-scheduler
}

pki_client() { # NAME SUBJECT KUBECONFIG USER
	pki_certificate ca "$1" "$2"
	pki_kubeconfig "$3" "$4" "$1"
}

pki_node() { # NODE
	pki=$state/pki
	pki_certificate ca "node$1" "/O=system:nodes/CN=system:node:node$1" "DNS:node$1,IP:$(node_address "$1")"
	pki_kubeconfig "$pki/node$1.kubeconfig" "system:node:node$1" "node$1"
	pki_client "node$1-proxy" /CN=system:kube-proxy "$pki/node$1-proxy.kubeconfig" system:kube-proxy
	pki_client "node$1-netpol" /CN=dev:netpol "$pki/node$1-netpol.kubeconfig" dev:netpol
}
