package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"milena/bench/result"
)

// options is what is asked for on the command line.
type options struct {
	loads, brokers string
	rounds         int
	duration       time.Duration
	warm           time.Duration
	milena, vs     string
	dir            string
	port           int
	out            string
	fill           bool
	short          bool
	once           string
	leave          bool
	table          string
}

func main() {
	var o options
	flag.StringVar(&o.loads, "loads", "all", "which, with commas between them; all: each")
	flag.StringVar(&o.brokers, "brokers", "kafka,milena,journal,floor", "which, neighbours in this order")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each load runs against each broker")
	flag.DurationVar(&o.duration, "for", 60*time.Second, "measured time of a run")
	flag.DurationVar(&o.warm, "warm", 5*time.Second, "each load's first run, which does not count; for a JVM six times as long")
	flag.StringVar(&o.milena, "milena", "", "binary; empty: built from this tree")
	flag.StringVar(&o.vs, "vs", "", "another binary of Milena to compare with, beside two of the same")
	flag.StringVar(&o.dir, "dir", "", "for the brokers' data, on the disk that is measured; empty: a temporary one")
	flag.IntVar(&o.port, "port", 29092, "first of the ports that are used, about 50")
	flag.StringVar(&o.out, "out", "", "file that the results are appended to")
	flag.BoolVar(&o.fill, "fill", false, "fill the page cache before each run: on a machine whose host takes free pages back, their first touch costs more than most brokers")
	flag.BoolVar(&o.short, "short", false, "one round of 3 s: does it work")
	flag.StringVar(&o.once, "once", "", "measure what is no load instead: start, idle, many, recovery, with commas between them, or all")
	flag.BoolVar(&o.leave, "leave", false, "leave the brokers' data and logs behind, to look at; needs -dir")
	flag.StringVar(&o.table, "table", "", "print the tables of this file of results, and run nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) (err error) {
	if o.table != "" {
		return printFile(o.table)
	}
	if o.short {
		o.rounds, o.duration, o.warm = 1, 3*time.Second, time.Second
	}
	tools, err := os.MkdirTemp("", "milena-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tools)
	if o.dir == "" {
		o.dir = filepath.Join(tools, "data")
	}
	if err := o.build(ctx, tools); err != nil {
		return err
	}
	r := &runner{options: o, ctx: ctx, tools: tools}
	if o.out != "" {
		if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(o.out, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		if r.earlier, err = result.Read(f); err != nil {
			return fmt.Errorf("%s: %w", o.out, err)
		}
		r.out = f
	}
	defer r.stop()
	if err := r.choose(); err != nil {
		return err
	}
	if o.once != "" {
		return r.onceAll()
	}
	r.all()
	printTables(os.Stdout, r.results)
	return ctx.Err()
}

// build makes the programs.
func (o *options) build(ctx context.Context, into string) error {
	programs := []string{"./bench/load", "./bench/floor"}
	if o.milena == "" {
		o.milena = filepath.Join(into, "milena")
		programs = append(programs, "./cmd/milena")
	}
	args := append([]string{"build", "-o", into + string(filepath.Separator)}, programs...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func printFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	results, err := result.Read(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	printTables(os.Stdout, results)
	return nil
}
