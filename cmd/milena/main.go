package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"milena/config"
)

func main() {
	signal.Ignore(syscall.SIGPIPE) // who read us may go: a group is left all the same
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends us at once
	c := &console{
		program: os.Args[0],
		in:      os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ(),
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
	code := run(ctx, c, os.Args[1:])
	stop()
	os.Exit(code)
}

// console is where a command reads and writes.
type console struct {
	program                              string // as it was called
	in                                   io.Reader
	out, err                             io.Writer
	inTerminal, outTerminal, errTerminal bool
	environ                              []string
}

// env is a variable of the environment; the last one wins, as in a shell.
func (c *console) env(name string) string {
	value := ""
	for _, pair := range c.environ {
		if len(pair) > len(name) && pair[len(name)] == '=' && pair[:len(name)] == name {
			value = pair[len(name)+1:]
		}
	}
	return value
}

// colour says whether the terminal behind w may be given escape sequences.
func (c *console) colour(terminal bool) bool {
	return terminal && c.env("NO_COLOR") == "" && c.env("TERM") != "dumb"
}

// run is the whole program: it gives the exit code.
func run(ctx context.Context, c *console, args []string) int {
	began := false // whether the command line was understood
	root := newRoot(c, &began)
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !began {
		err = usage(err, command)
	}
	return c.finish(ctx, command, err)
}

func newRoot(c *console, began *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "milena",
		Short: "A Kafka instance in one program, and the tools to use any Kafka",
		Example: `  milena start                                     an instance on this machine
  echo 'hello kafka!' | milena produce greetings   one record
  milena consume greetings -o start                read it back
  milena connect --lang python                     a program with everything filled in`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRun:  func(*cobra.Command, []string) { *began = true },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetHelpCommand(newHelp())
	root.AddCommand(
		newStart(c), newInit(c), newConnect(c),
		newProduce(c), newConsume(c),
		newTopic(c), newUser(c), newGroup(c),
		newDoctor(c), newRepair(c), newVersion(c), newConfig(c), newExitCodes(c),
	)
	return root
}

// group makes a command that only has other commands under it.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	parent := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		var words []string
		for _, one := range cmd.Commands() {
			words = append(words, one.Name())
		}
		if len(args) == 0 {
			return usageOf(cmd, "say what to do: %s", strings.Join(words, ", "))
		}
		if near := config.Nearest(args[0], words); near != "" {
			return usageOf(cmd, "%s: unknown; did you mean %s %s?", args[0], cmd.CommandPath(), near)
		}
		return usageOf(cmd, "%s: unknown; there is %s", args[0], strings.Join(words, ", "))
	}}
	parent.AddCommand(commands...)
	return parent
}

// newHelp is cobra's help, but a topic that is not there is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Help about any command",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if about, _, err := cmd.Root().Find(args); err == nil {
				for _, one := range about.Commands() {
					if one.IsAvailableCommand() {
						names = append(names, one.Name())
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usageOf(cmd.Root(), "there is no help about %s", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag() // so that it is listed
			return about.Help()
		},
	}
}
