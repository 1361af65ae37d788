// The last CNI plugin of a pod's network: it tells the node's agent the pod's
// address and returns once the NetworkPolicies that select the pod are in
// force. So no container of a pod ever runs outside of its policies.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"dev/tests/cluster/netpol/wire"
)

// config is this plugin's part of the network configuration, CNI spec 1.0.
type config struct {
	CNIVersion string          `json:"cniVersion"`
	Socket     string          `json:"socket"`
	PrevResult json.RawMessage `json:"prevResult"`
}

const patience = 20 * time.Second

func main() {
	if err := run(os.Getenv("CNI_COMMAND")); err != nil {
		out, _ := json.Marshal(map[string]any{"cniVersion": "1.0.0", "code": 11, "msg": "dev-netpol: " + err.Error()})
		fmt.Println(string(out))
		os.Exit(1)
	}
}

func run(command string) error {
	if command == "VERSION" {
		fmt.Println(`{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}`)
		return nil
	}
	var conf config
	if err := json.NewDecoder(os.Stdin).Decode(&conf); err != nil {
		return fmt.Errorf("network configuration: %w", err)
	}
	args := map[string]string{}
	for pair := range strings.SplitSeq(os.Getenv("CNI_ARGS"), ";") {
		key, value, _ := strings.Cut(pair, "=")
		args[key] = value
	}
	request := wire.Request{
		Namespace: args["K8S_POD_NAMESPACE"],
		Name:      args["K8S_POD_NAME"],
		UID:       args["K8S_POD_UID"],
	}

	switch command {
	case "ADD":
		var result struct {
			IPs []struct{ Address string }
		}
		if err := json.Unmarshal(conf.PrevResult, &result); err != nil {
			return fmt.Errorf("prevResult: %w", err)
		}
		for _, ip := range result.IPs {
			request.IP, _, _ = strings.Cut(ip.Address, "/")
		}
		request.Op = "add"
		if err := tell(conf.Socket, request); err != nil {
			return err
		}
		_, err := os.Stdout.Write(conf.PrevResult)
		return err
	case "DEL":
		// A node that is going down has no agent any more; its rules go with its network namespace.
		request.Op = "del"
		if err := tell(conf.Socket, request); err != nil {
			fmt.Fprintln(os.Stderr, "dev-netpol:", err)
		}
	}
	return nil
}

func tell(socket string, request wire.Request) error {
	connection, err := net.DialTimeout("unix", socket, patience)
	if err != nil {
		return fmt.Errorf("the node's agent does not answer: %w", err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := json.NewEncoder(connection).Encode(request); err != nil {
		return err
	}
	var response wire.Response
	if err := json.NewDecoder(connection).Decode(&response); err != nil {
		return err
	}
	if response.Error != "" {
		return fmt.Errorf("%s", response.Error)
	}
	return nil
}
