package main

import (
	"strings"
	"testing"

	"milena/bench/result"
)

func TestTablesSayWhatWasMeasured(t *testing.T) {
	run := func(broker string, round int, cpu float64) result.Result {
		return result.Result{Load: "rtt-1", Broker: broker, Round: round, CPU: cpu, Seconds: 2, Requests: 100_000, Records: 100_000,
			Bytes: 100_000_000, WriteBytes: 450_000_000, RSS: 20_000_000, ClientCPU: 1, Times: result.Times{P50: 130, P99: 2500, P999: 31_000}}
	}
	watched := run("milena", 1, 10)
	watched.Between, watched.During = &result.Times{P99: 1000}, &result.Times{P99: 4000}
	all := []result.Result{run("kafka", 1, 20), watched, run("kafka", 2, 8), run("milena", 2, 8), {Load: "rtt-1", Broker: "milena", Round: 3, Err: "it broke"}}
	all[3].Between, all[3].During = &result.Times{P99: 2000}, &result.Times{P99: 5000}
	var out strings.Builder
	printTables(&out, all)
	for _, want := range []string{
		"| rtt-1 | kafka | **140 [80.0–200]** µs | 50000 [50000–50000] requests/s | 0.130 [0.130–0.130] | 2.50 [2.50–2.50] | 31.0 [31.0–31.0] | – | 4.50 | 20.0 | 10.0 | 2 |\n",
		"| 1.50 [1.00–2.00] / 4.50 [4.00–5.00] | 4.50 | 20.0 | 10.0 | 2, some failed |\n",
		"| rtt-1 | milena / kafka | **0.750 [0.500–1.00]** | 1.00 [1.00–1.00] | 1.00 [1.00–1.00] |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no row %s in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "journal") || strings.Contains(out.String(), "produce") {
		t.Errorf("what was not measured is in\n%s", out.String())
	}
}

func TestLoadsAreFoundByName(t *testing.T) {
	got, err := chosen("rtt-100x5,consume-1k-1p")
	if err != nil || len(got) != 2 || got[0].name != "rtt-100x5" || !got[1].reads {
		t.Errorf("chosen %+v, %v", got, err)
	}
	if all, err := chosen("all"); err != nil || len(all) != len(loads) {
		t.Errorf("all are %d, %v; want %d", len(all), err, len(loads))
	}
	if _, err := chosen("rtt-1,rtt-2"); err == nil {
		t.Error("rtt-2 was found")
	}
}

func TestRoundsFollowThoseOfAnEarlierRun(t *testing.T) {
	earlier := []result.Result{{Load: "rtt-1", Round: 1}, {Load: "rtt-1", Round: 3}, {Load: "paced-1000", Round: 7}}
	rtt, _ := find("rtt-1")
	consume, _ := find("consume-1k-1p")
	if got := lastRound(earlier, rtt); got != 3 {
		t.Errorf("the last round was %d, want 3", got)
	}
	if got := lastRound(earlier, consume); got != 0 {
		t.Errorf("a load that never ran had %d rounds, want 0", got)
	}
}
