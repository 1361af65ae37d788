// Package wire is what the CNI plugin and the agent of a node say to each
// other: one JSON object a line over a unix socket, answered by one line.
package wire

// Request tells the agent that a pod's sandbox got or gave back an address.
type Request struct {
	Op        string `json:"op"` // "add" or "del"
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	IP        string `json:"ip"` // IPv4; empty for "del"
}

// Response says whether the rules in force take the request into account.
type Response struct {
	Error string `json:"error,omitempty"`
}
