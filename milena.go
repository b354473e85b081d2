// Package milena runs an instance inside a Go program: the same broker as the
// binary, on the listeners that its configuration names.
//
//	instance, err := milena.Start(ctx, milena.Options{Data: "data"})
//	defer instance.Stop()
//	client, err := kgo.NewClient(kgo.SeedBrokers(instance.Address("PLAINTEXT")))
package milena

import (
	"context"
	"fmt"
	"log/slog"

	"milena/config"
	"milena/server"
)

// Options say what to run. The zero Options are a throw-away instance.
type Options struct {
	Data    string            // directory; empty: in memory, gone when it stops
	Configs map[string]string // by Kafka's keys, as in server.properties
	Secure  bool              // users and TLS
	Admin   string            // name of the first superuser; default admin
	// Password of the first superuser; needed with Secure.
	Password string
	Log      *slog.Logger // nil: nothing is logged
}

// Instance is an instance that runs.
type Instance struct{ server *server.Server }

// Start starts an instance; it is ready when Start returns. Ports are free ones
// unless Configs name others.
func Start(ctx context.Context, o Options) (*Instance, error) {
	if o.Secure && o.Password == "" {
		return nil, fmt.Errorf("milena: a secure instance needs a password for its first superuser")
	}
	flags := []config.KeyValue{
		{Key: "listeners", Value: defaultListeners(o.Secure)}, {Key: "admin.listener", Value: "127.0.0.1:0"},
	}
	if o.Data != "" {
		flags = append(flags, config.KeyValue{Key: "log.dirs", Value: o.Data})
	}
	for key, value := range o.Configs {
		flags = append(flags, config.KeyValue{Key: key, Value: value})
	}
	broker, warnings, err := config.Load(config.Given{Flags: flags})
	if err != nil {
		return nil, fmt.Errorf("milena: %w", err)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	for _, w := range warnings {
		log.Warn("configuration", "key", w.Key, "note", w.Text)
	}
	s, err := server.Start(ctx, server.Options{
		Config: broker, Memory: o.Data == "", Secure: o.Secure, Admin: o.Admin, AdminPassword: o.Password, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("milena: %w", err)
	}
	return &Instance{s}, nil
}

func defaultListeners(secure bool) string {
	if secure {
		return "PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0,SASL_SSL://127.0.0.1:0"
	}
	return "PLAINTEXT://127.0.0.1:0"
}

// Address is where a listener is bound, as host:port; empty: there is none of
// this name.
func (i *Instance) Address(listener string) string { return i.server.Addresses()[listener] }

// Stop answers what is under way and stops the instance.
func (i *Instance) Stop() error { return i.server.Stop() }
