package main

import (
	"math"
	"net"
	"os"
	"sync"
	"time"
)

// Failures beyond so many are counted and not kept.
const keptFailures = 2000

// Report is what came of it.
type Report struct {
	Pod     string        `json:"pod"`
	Node    string        `json:"node"`
	Began   float64       `json:"began"`
	Now     float64       `json:"now"`
	Running bool          `json:"running"`
	Groups  []GroupReport `json:"groups"`
}

// GroupReport is the count of a group. Times are seconds since 1970.
type GroupReport struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Requests uint64 `json:"requests"`
	Failed   uint64 `json:"failed"`
	// Requests of which the server saw the client itself.
	Direct uint64 `json:"direct"`
	// Requests of which the server saw somebody else: a router.
	Routed uint64 `json:"routed"`
	// Messages of streams.
	Messages uint64 `json:"messages"`
	// Streams that their clients gave back before the end, because they were told to stop. Not among the requests.
	Given uint64 `json:"given"`
	// Milliseconds.
	P50      float64   `json:"p50"`
	P99      float64   `json:"p99"`
	Max      float64   `json:"max"`
	Failures []Failure `json:"failures"`
}

// Failure is a request that failed.
type Failure struct {
	Began float64 `json:"began"`
	Ended float64 `json:"ended"`
	At    string  `json:"at"`
	Error string  `json:"error"`
	// By whom the connection had been answered before: direct, routed, or nothing.
	Via string `json:"via"`
	// Whether the connection had been used before, and how many milliseconds ago.
	Used  bool    `json:"used"`
	Idle  float64 `json:"idle"`
	Local string  `json:"local"`
}

type report struct {
	began  time.Time
	lock   sync.Mutex
	ended  bool
	groups []*count
}

type count struct {
	group *Group
	own   map[string]bool

	lock      sync.Mutex
	report    GroupReport
	latencies histogram
}

func newReport(plan []Group) *report {
	made := &report{began: time.Now()}
	own := ownAddresses()
	for index := range plan {
		made.groups = append(made.groups, &count{group: &plan[index], own: own})
	}
	return made
}

func ownAddresses() map[string]bool {
	own := map[string]bool{}
	addresses, _ := net.InterfaceAddrs()
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok {
			own[network.IP.String()] = true
		}
	}
	return own
}

func (r *report) end() {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.ended = true
}

func (r *report) now() Report {
	r.lock.Lock()
	defer r.lock.Unlock()
	pod, _ := os.Hostname()
	made := Report{Pod: pod, Node: os.Getenv("NODE_NAME"), Began: unix(r.began), Now: unix(time.Now()), Running: !r.ended}
	for _, count := range r.groups {
		made.Groups = append(made.Groups, count.now())
	}
	return made
}

func (c *count) add(began, ended time.Time, of outcome) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.report.Messages += uint64(of.messages)
	if of.given {
		c.report.Given++
		return
	}
	c.report.Requests++
	via := ""
	switch {
	case of.peer == "":
	case c.own[of.peer]:
		via = "direct"
		c.report.Direct++
	default:
		via = "routed"
		c.report.Routed++
	}
	if of.err == nil {
		c.latencies.add(ended.Sub(began))
		return
	}
	c.report.Failed++
	if len(c.report.Failures) < keptFailures {
		c.report.Failures = append(c.report.Failures, Failure{
			Began: unix(began), Ended: unix(ended), At: of.at, Error: of.err.Error(), Via: via,
			Used: of.used, Idle: of.idle.Seconds() * 1000, Local: of.local,
		})
	}
}

func (c *count) now() GroupReport {
	c.lock.Lock()
	defer c.lock.Unlock()
	made := c.report
	made.Name, made.Kind = c.group.Name, c.group.Kind
	made.P50, made.P99, made.Max = c.latencies.quantile(0.5), c.latencies.quantile(0.99), c.latencies.quantile(1)
	made.Failures = append([]Failure{}, c.report.Failures...)
	return made
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// histogram counts times in steps of 5 %, from a microsecond upwards.
type histogram struct {
	steps [512]uint64
	all   uint64
}

const step = 1.05

func (h *histogram) add(taken time.Duration) {
	at := int(math.Log(max(1, float64(taken.Microseconds()))) / math.Log(step))
	h.steps[min(at, len(h.steps)-1)]++
	h.all++
}

// quantile is the upper end of the step, in milliseconds.
func (h *histogram) quantile(part float64) float64 {
	wanted, seen := uint64(math.Ceil(part*float64(h.all))), uint64(0)
	for at, count := range h.steps {
		seen += count
		if seen > 0 && seen >= wanted {
			return math.Round(math.Pow(step, float64(at+1))) / 1000
		}
	}
	return 0
}
