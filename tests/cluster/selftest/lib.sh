# shellcheck shell=bash
# Counting checks, and the pods that several of them use.

passed=0
failed=0
namespaces=(selftest-a selftest-b)

clean_up() {
	kubectl delete namespace "${namespaces[@]}" --ignore-not-found --grace-period 0 --force >/dev/null 2>&1 || true
}

# check DESCRIPTION COMMAND…
check() {
	local description=$1 output
	shift
	if output=$("$@" 2>&1); then
		passed=$((passed + 1))
		echo "ok      $description"
	else
		failed=$((failed + 1))
		echo "FAILED  $description"
		echo "        $*: ${output//$'\n'/$'\n'        }"
	fi
}

fails() { ! "$@"; }

# says TEXT COMMAND…: the output contains the text; a command that fails may say it too.
says() {
	local text=$1 output
	shift
	output=$("$@" 2>&1) || true
	[[ $output == *"$text"* ]] || {
		echo "expected \"$text\", got: $output"
		return 1
	}
}

# refused NAMESPACE POD HOST:PORT: the packets are dropped; any other trouble is not what is meant.
refused() {
	local output
	if output=$(reach "$@" 2>&1) || [[ $output != *"i/o timeout"* ]]; then
		echo "expected a time-out, got: $output"
		return 1
	fi
}

# within SECONDS COMMAND…: tried again until then; the last output counts.
within() {
	local deadline=$((SECONDS + $1)) output
	shift
	until output=$("$@" 2>&1); do
		if ((SECONDS >= deadline)); then
			echo "$output"
			return 1
		fi
	done
}

# must DESCRIPTION COMMAND…: a check without which the others make no sense.
must() {
	local before=$failed
	check "$@"
	((failed == before)) || { echo "cluster selftest: given up, $passed passed, $failed failed"; exit 1; }
}

# pod NAMESPACE NAME NODE LABELS ARGUMENT…: the manifest of a pod of the restricted kind that runs testbox.
pod() {
	local namespace=$1 pod=$2 node=$3 labels=$4 image=${image:-dev.local/testbox:1} argument arguments=''
	shift 4
	for argument; do
		arguments+="\"$argument\","
	done
	cat <<-END
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $pod, namespace: $namespace, labels: {$labels}}
		spec:
		  nodeName: $node
		  restartPolicy: Never
		  automountServiceAccountToken: false
		  terminationGracePeriodSeconds: 1
		  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
		  containers:
		  - name: main
		    image: $image
		    imagePullPolicy: ${pull:-Never}
		    args: [${arguments%,}]
		    ports: [{name: http, containerPort: 8080}]
		    ${probe:-}
		    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
	END
}

address() { kubectl -n "$1" get pod "$2" -o 'jsonpath={.status.podIP}'; }

# reach NAMESPACE POD HOST:PORT: a TCP connection from that pod.
reach() { kubectl -n "$1" exec "$2" -c main -- /testbox tcp -timeout 1s "$3"; }
