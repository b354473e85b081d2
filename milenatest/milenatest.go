// Package milenatest starts an instance for a Go test: the real broker, in
// memory, on free ports, stopped when the test ends.
package milenatest

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"milena"
)

// Start starts an instance with these configurations, as "num.partitions=4",
// and gives its address.
func Start(t testing.TB, configs ...string) (address string) {
	t.Helper()
	o := milena.Options{Configs: make(map[string]string), Log: slog.New(slog.NewTextHandler(writer{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, pair := range configs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			t.Fatalf("%q is not key=value", pair)
		}
		o.Configs[key] = value
	}
	i, err := milena.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Errorf("stop milena: %v", err)
		}
	})
	return i.Address("PLAINTEXT")
}

// writer puts what is logged into the test's log.
type writer struct{ t testing.TB }

func (w writer) Write(b []byte) (int, error) {
	w.t.Logf("milena: %s", strings.TrimSpace(string(b)))
	return len(b), nil
}
