// Package result is what one run of a load did and cost, as a line of JSON, and
// what many of them come to: medians, ranges, ratios of neighbours in time.
package result

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Result is one run.
type Result struct {
	At     time.Time `json:"at,omitzero"`
	Load   string    `json:"load,omitempty"`
	Broker string    `json:"broker,omitempty"`
	Round  int       `json:"round,omitempty"`
	Err    string    `json:"err,omitempty"` // it failed, and nothing below counts

	Seconds  float64 `json:"seconds"`
	Requests int64   `json:"requests"`
	Records  int64   `json:"records"`
	Bytes    int64   `json:"bytes"` // of record values
	Times    Times   `json:"times"`

	Checkpoints int    `json:"checkpoints,omitempty"`
	During      *Times `json:"during,omitempty"`  // requests that saw a checkpoint run
	Between     *Times `json:"between,omitempty"` // and those that saw none

	CPU        float64 `json:"cpu"`        // seconds, the broker's
	RSS        int64   `json:"rss"`        // the broker's, at the end
	WriteBytes int64   `json:"writeBytes"` // the broker's, to storage
	ClientCPU  float64 `json:"clientCPU"`  // seconds, the load generator's
}

// Times are percentiles, in microseconds.
type Times struct {
	Count int64 `json:"count"`
	P50   int64 `json:"p50"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p999"`
	Max   int64 `json:"max"`
}

// Unit is what a load's cost is counted by.
type Unit int

const (
	PerGB Unit = iota
	PerMillion
	PerRequest
)

// Cost gives seconds of CPU for each GB or million records, or microseconds for
// each request.
func (r *Result) Cost(u Unit) float64 { return r.CPU / r.units(u) }

// ClientCost is the load generator's own.
func (r *Result) ClientCost(u Unit) float64 { return r.ClientCPU / r.units(u) }

func (r *Result) units(u Unit) float64 {
	switch u {
	case PerMillion:
		return float64(r.Records) / 1e6
	case PerRequest: // microseconds each are seconds a million
		return float64(r.Requests) / 1e6
	}
	return float64(r.Bytes) / 1e9
}

// Speed is MB, thousand records or requests a second.
func (r *Result) Speed(u Unit) float64 {
	switch u {
	case PerMillion:
		return float64(r.Records) / 1e3 / r.Seconds
	case PerRequest:
		return float64(r.Requests) / r.Seconds
	}
	return float64(r.Bytes) / 1e6 / r.Seconds
}

// Amplification is how many bytes went to storage for each byte of values.
func (r *Result) Amplification() float64 { return float64(r.WriteBytes) / float64(r.Bytes) }

// Write writes a result as a line.
func Write(w io.Writer, r *Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Read reads results, a line each.
func Read(from io.Reader) ([]Result, error) {
	var all []Result
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("result %d: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}
