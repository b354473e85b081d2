package result

import (
	"bytes"
	"reflect"
	"testing"
)

func TestTheMedianStandsInTheMiddle(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3, 1}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9, 3}},
		{[]float64{4, 1, 10, 2}, Spread{3, 1, 10, 4}},
	} {
		if got := Of(tt.values); got != tt.want {
			t.Errorf("of %v: %+v, want %+v", tt.values, got, tt.want)
		}
	}
}

// A ratio is made of neighbours: a round that failed for one of the two does
// not count for the other, and other loads and brokers do not at all.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	cpu := func(load, broker string, round int, cpu float64) Result {
		return Result{Load: load, Broker: broker, Round: round, CPU: cpu}
	}
	failed := cpu("a", "ours", 3, 0)
	failed.Err = "it broke"
	all := []Result{
		cpu("a", "theirs", 1, 10), cpu("a", "ours", 1, 5),
		cpu("a", "ours", 2, 40), cpu("a", "theirs", 2, 20),
		cpu("a", "theirs", 3, 1000), failed,
		cpu("a", "ours", 4, 1000),
		cpu("b", "theirs", 1, 1), cpu("b", "ours", 1, 1000), cpu("a", "floor", 1, 1),
	}
	ask := func(r *Result) float64 { return r.CPU }
	if got, want := Ratio(all, "a", "ours", "theirs", ask), (Spread{1.25, 0.5, 2, 2}); got != want {
		t.Errorf("ratio %+v, want %+v", got, want)
	}
	if got, want := Over(Select(all, "a", "ours"), ask), (Spread{40, 5, 1000, 3}); got != want {
		t.Errorf("runs %+v, want %+v", got, want)
	}
}

func TestCostsAreOfTheirUnit(t *testing.T) {
	r := Result{Seconds: 2, Requests: 500, Records: 4_000_000, Bytes: 4_000_000_000, CPU: 3, ClientCPU: 1, WriteBytes: 8_000_000_000}
	for _, tt := range []struct {
		unit                Unit
		cost, client, speed float64
	}{{PerGB, 0.75, 0.25, 2000}, {PerMillion, 0.75, 0.25, 2000}, {PerRequest, 6000, 2000, 250}} {
		if c, l, s := r.Cost(tt.unit), r.ClientCost(tt.unit), r.Speed(tt.unit); c != tt.cost || l != tt.client || s != tt.speed {
			t.Errorf("unit %d: cost %v, the load's %v, speed %v; want %v", tt.unit, c, l, s, tt)
		}
	}
	if got := r.Amplification(); got != 2 {
		t.Errorf("%v bytes written for each, want 2", got)
	}
}

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	want := []Result{{Load: "a", Broker: "b", Round: 1, Seconds: 2, During: &Times{Count: 3}}, {Err: "it broke"}}
	var file bytes.Buffer
	for _, r := range want {
		if err := Write(&file, &r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(&file)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
	if _, err := Read(bytes.NewBufferString("{}\n{\n")); err == nil {
		t.Error("half a line was read")
	}
}
