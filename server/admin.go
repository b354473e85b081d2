package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the admin listener: it answers small questions of one operator.
const (
	adminReadTimeout = 5 * time.Second
	adminHeaderMax   = 16 << 10
)

// admin answers /livez, /readyz and /metrics.
type admin struct {
	http     http.Server
	listener net.Listener
	done     chan struct{}
}

// openAdmin serves on a listener that is bound already.
func openAdmin(l net.Listener, ready func() error, metrics prometheus.Collector) *admin {
	a := &admin{listener: l, done: make(chan struct{})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true}))
	a.http = http.Server{Handler: mux, ReadTimeout: adminReadTimeout, ReadHeaderTimeout: adminReadTimeout, MaxHeaderBytes: adminHeaderMax}
	go func() {
		defer close(a.done)
		a.http.Serve(l) //nolint:errcheck // it ends when it is closed
	}()
	return a
}

func (a *admin) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := a.http.Shutdown(ctx)
	if err != nil {
		err = a.http.Close()
	}
	<-a.done
	return err
}

var (
	errStarting = errors.New("not ready: starting or stopping")
	errStorage  = errors.New("not ready: storage failed")
)

// readiness says why the instance is not ready; nil: every listener answers.
func (s *Server) readiness() error {
	select {
	case <-s.failed:
		return errStorage
	default:
	}
	if !s.ready.Load() {
		return errStarting
	}
	return nil
}
