package result

import "slices"

// Spread is a median and what lies around it.
type Spread struct {
	Median, Low, High float64
	N                 int
}

// Of gives the spread of values; a zero one when there are none.
func Of(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Low: v[0], High: v[n-1], N: n}
}

// Select gives the runs of one broker under one load that did not fail.
func Select(all []Result, load, broker string) []Result {
	var out []Result
	for _, r := range all {
		if r.Load == load && r.Broker == broker && r.Err == "" {
			out = append(out, r)
		}
	}
	return out
}

// Over gives the spread of what is asked of each run.
func Over(runs []Result, ask func(*Result) float64) Spread {
	var values []float64
	for i := range runs {
		values = append(values, ask(&runs[i]))
	}
	return Of(values)
}

// Ratio compares two brokers under one load, round by round: only neighbours in
// time had the same machine.
func Ratio(all []Result, load, broker, than string, ask func(*Result) float64) Spread {
	others := make(map[int]float64)
	for _, r := range Select(all, load, than) {
		others[r.Round] = ask(&r)
	}
	var ratios []float64
	for _, r := range Select(all, load, broker) {
		if other := others[r.Round]; other != 0 {
			ratios = append(ratios, ask(&r)/other)
		}
	}
	return Of(ratios)
}
