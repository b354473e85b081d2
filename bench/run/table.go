package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"milena/bench/result"
)

// pair is a broker and another that it is compared with.
type pair struct{ broker, than string }

var pairs = []pair{
	{"milena", "kafka"}, {"milena", "kafka-flush"}, {"milena", "journal"}, {"milena", "floor"},
	{"new", "old"}, {"old-again", "old"},
}

// printTables prints what was measured, and what it comes to in pairs.
func printTables(w io.Writer, all []result.Result) {
	var measured []load
	for _, l := range loads {
		if len(brokers(all, l)) > 0 {
			measured = append(measured, l)
		}
	}
	fmt.Fprintln(w, "| load | broker | CPU | throughput | p50 ms | p99 ms | p999 ms | p99 ms without / with a checkpoint | disk bytes a byte | RSS MB | load's CPU | runs |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, l := range measured {
		for _, broker := range brokers(all, l) {
			printRow(w, all, l, broker)
		}
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "| load | ratio | CPU | throughput | p50 | p99 | p999 | pairs |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, l := range measured {
		for _, p := range pairs {
			printRatio(w, all, l, p)
		}
	}
}

// brokers gives those that a load ran against, in the order of the results.
func brokers(all []result.Result, l load) []string {
	var names []string
	for _, r := range all {
		if r.Load == l.name && !slices.Contains(names, r.Broker) {
			names = append(names, r.Broker)
		}
	}
	return names
}

// What is asked of a run.
func costOf(u result.Unit) func(*result.Result) float64 {
	return func(r *result.Result) float64 { return r.Cost(u) }
}

func speedOf(u result.Unit) func(*result.Result) float64 {
	return func(r *result.Result) float64 { return r.Speed(u) }
}

func p50(r *result.Result) float64  { return float64(r.Times.P50) / 1e3 }
func p99(r *result.Result) float64  { return float64(r.Times.P99) / 1e3 }
func p999(r *result.Result) float64 { return float64(r.Times.P999) / 1e3 }

func printRow(w io.Writer, all []result.Result, l load, broker string) {
	runs := result.Select(all, l.name, broker)
	over := func(ask func(*result.Result) float64) result.Spread { return result.Over(runs, ask) }
	failed := ""
	for _, r := range all {
		if r.Load == l.name && r.Broker == broker && r.Err != "" {
			failed = ", some failed"
		}
	}
	parted := "–"
	if len(runs) > 0 && runs[0].During != nil {
		parted = text(over(func(r *result.Result) float64 { return float64(r.Between.P99) / 1e3 })) + " / " +
			text(over(func(r *result.Result) float64 { return float64(r.During.P99) / 1e3 }))
	}
	cells := []string{l.name, broker,
		"**" + text(over(costOf(l.unit))) + "** " + costUnits[l.unit],
		text(over(speedOf(l.unit))) + " " + speedUnits[l.unit],
		text(over(p50)), text(over(p99)), text(over(p999)), parted,
		number(over((*result.Result).Amplification).Median),
		number(over(func(r *result.Result) float64 { return float64(r.RSS) / 1e6 }).Median),
		number(over(func(r *result.Result) float64 { return r.ClientCost(l.unit) }).Median),
		fmt.Sprint(len(runs)) + failed,
	}
	fmt.Fprintln(w, "| "+strings.Join(cells, " | ")+" |")
}

func printRatio(w io.Writer, all []result.Result, l load, p pair) {
	ratio := func(ask func(*result.Result) float64) result.Spread {
		return result.Ratio(all, l.name, p.broker, p.than, ask)
	}
	c := ratio(costOf(l.unit))
	if c.N == 0 {
		return
	}
	fmt.Fprintf(w, "| %s | %s / %s | **%s** | %s | %s | %s | %s | %d |\n", l.name, p.broker, p.than, text(c),
		text(ratio(speedOf(l.unit))), text(ratio(p50)), text(ratio(p99)), text(ratio(p999)), c.N)
}

var (
	costUnits  = map[result.Unit]string{result.PerGB: "s/GB", result.PerMillion: "s/M records", result.PerRequest: "µs"}
	speedUnits = map[result.Unit]string{result.PerGB: "MB/s", result.PerMillion: "k records/s", result.PerRequest: "requests/s"}
)

func cost(r *result.Result, u result.Unit) string  { return number(r.Cost(u)) + " " + costUnits[u] }
func speed(r *result.Result, u result.Unit) string { return number(r.Speed(u)) + " " + speedUnits[u] }

// text writes a median with its range.
func text(s result.Spread) string {
	if s.N < 2 {
		return number(s.Median)
	}
	return fmt.Sprintf("%s [%s–%s]", number(s.Median), number(s.Low), number(s.High))
}

// number writes three figures that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1 || v == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
