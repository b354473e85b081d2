package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// pollEvery is how often it is asked whether a checkpoint runs.
const pollEvery = 20 * time.Millisecond

// The metrics that tell of checkpoints.
const (
	totalMetric   = "milena_checkpoints_total"
	runningMetric = "milena_checkpoint_running"
)

// checkpoints knows when a broker's checkpoints run, to pollEvery.
type checkpoints struct {
	url   string
	last  atomic.Int64 // when one was seen last, in nanoseconds since 1970
	count int          // how many ended while it was looked
	err   error        // why nobody looks any more
}

// since says that a checkpoint was seen after a moment.
func (c *checkpoints) since(t time.Time) bool { return c.last.Load() >= t.UnixNano() }

// watch asks until it is stopped.
func (c *checkpoints) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	before := -1
	for {
		total, running, err := c.poll()
		if err != nil {
			c.err = fmt.Errorf("metrics: %w", err)
			return
		}
		if before >= 0 {
			c.count += total - before
		}
		if running || before >= 0 && total > before {
			c.last.Store(time.Now().UnixNano())
		}
		before = total
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
	}
}

func (c *checkpoints) poll() (total int, running bool, err error) {
	resp, err := http.Get(c.url)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	found := 0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case totalMetric:
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, false, err
			}
			total = int(number)
			found++
		case runningMetric:
			running = value == "1"
			found++
		}
	}
	if found != 2 && lines.Err() == nil {
		return 0, false, fmt.Errorf("%s has no %s or no %s", c.url, totalMetric, runningMetric)
	}
	return total, running, lines.Err()
}
