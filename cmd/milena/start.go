package main

import (
	"context"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"milena/config"
	"milena/server"
)

// instance is what start and init are told.
type instance struct {
	c                 *console
	data              string
	memory            bool
	secure            bool
	insecure          bool
	admin             string
	adminPasswordFile string
	file              string
	set               []string // -c
}

func newStart(c *console) *cobra.Command {
	i := &instance{c: c}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run an instance in the foreground",
		Long: `Runs an instance until it is interrupted. Its data lies in ./milena-data, made at the
first start. Without --secure it listens on this machine's loopback alone; with it, it
makes its own authority and certificate and a first superuser, whose password is printed
once. A directory made secure stays secure.

The keys for --config, -c and the environment (MILENA_NUM_PARTITIONS=8) are Kafka's;
all of them are in docs/config.md.`,
		Example: `  milena start
  milena start --memory
  milena start --secure --admin-password-file admin.pw
  milena start -c listeners=PLAINTEXT://127.0.0.1:0 -c num.partitions=8`,
		Args: cobra.NoArgs,
	}
	i.flags(cmd)
	cmd.Flags().BoolVar(&i.memory, "memory", false, "keep everything in memory: gone when it stops")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return i.run(cmd.Context(), cmd, false) }
	return cmd
}

func newInit(c *console) *cobra.Command {
	i := &instance{c: c}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare a secure instance without starting it",
		Long: `Makes the data directory of a secure instance: its authority and certificate, and
the first superuser, whose password is printed once. Then: milena start.`,
		Args: cobra.NoArgs,
	}
	i.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		i.secure = true
		return i.run(cmd.Context(), cmd, true)
	}
	return cmd
}

func (i *instance) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&i.data, "data", "", "data directory (log.dirs; environment: MILENA_DATA; default ./"+defaultData+")")
	f.BoolVar(&i.secure, "secure", false, "users and TLS")
	f.BoolVar(&i.insecure, "insecure", false, "allow a listener beyond this machine without TLS and password")
	f.StringVar(&i.admin, "admin", "admin", "name of the first superuser")
	f.StringVar(&i.adminPasswordFile, "admin-password-file", "", "file with its password (default: one is made and printed)")
	f.StringVar(&i.file, "config", "", "a server.properties file")
	f.StringArrayVarP(&i.set, "set", "c", nil, "a configuration, as num.partitions=8")
}

func (i *instance) run(ctx context.Context, cmd *cobra.Command, prepare bool) error {
	given := config.Given{File: i.file, Env: i.c.environ}
	if dir := i.c.env("MILENA_DATA"); dir != "" { // the client verbs' word for log.dirs, which beats it
		given.Env = append([]string{"MILENA_LOG_DIRS=" + dir}, given.Env...)
	}
	for _, pair := range i.set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return usageOf(cmd, "-c %s: it is not key=value", pair)
		}
		given.Flags = append(given.Flags, config.KeyValue{Key: key, Value: value})
	}
	if i.data != "" {
		given.Flags = append(given.Flags, config.KeyValue{Key: "log.dirs", Value: i.data})
	}
	broker, warnings, err := config.Load(given)
	if err != nil {
		return usage(err, cmd)
	}
	password := ""
	if i.adminPasswordFile != "" {
		if password, err = readPassword(i.adminPasswordFile); err != nil {
			return usageOf(cmd, "--admin-password-file: %w", err)
		}
	}
	log := i.c.logger(broker.String("log.level"))
	for _, w := range warnings {
		log.Warn("configuration", "key", w.Key, "from", w.Origin, "note", w.Text)
	}
	err = server.Run(ctx, server.Options{
		Config: broker, Memory: i.memory, Secure: i.secure, Insecure: i.insecure, Init: prepare,
		Admin: i.admin, AdminPassword: password,
		Out: i.c.out, Log: log, Version: version(), Command: i.c.calledAs(),
	})
	return err
}

// calledAs is what a person types to call this program again: as it was, but for
// go run, which runs a file that is gone afterwards.
func (c *console) calledAs() string {
	switch {
	case strings.Contains(c.program, "go-build"):
		return "go run ./cmd/milena"
	case strings.ContainsRune(c.program, '/'):
		return c.program
	}
	return "milena"
}

// logger writes text for people and JSON for machines.
func (c *console) logger(level string) *slog.Logger {
	var from slog.Level
	if err := from.UnmarshalText([]byte(level)); err != nil {
		from = slog.LevelInfo // the table of keys allows no other word
	}
	options := &slog.HandlerOptions{Level: from}
	if c.errTerminal {
		options.ReplaceAttr = shortTime
		return slog.New(slog.NewTextHandler(c.err, options))
	}
	return slog.New(slog.NewJSONHandler(c.err, options))
}

// shortTime keeps a terminal's lines short: the day is today.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
	}
	return a
}
