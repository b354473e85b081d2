package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"milena/config"
	"milena/server"
)

// repair is `milena repair`.
type repair struct {
	c      *console
	data   string
	yes    bool
	output string
}

func newRepair(c *console) *cobra.Command {
	o := &repair{c: c}
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Say what damage took of a stopped instance, and go on without it",
		Long: `Looks at a data directory, as a start does, and says what the disk lost: which logs
can be read up to where, which partitions may have lost records and from which offset on,
which groups may have lost offsets. Nothing is given up without --yes.

With --yes the damaged files go to journal/lost/ (nothing is deleted), logs that were
stopped are written again from where they can be read, and topics that may have lost
records get a higher leader epoch, by which consumers notice. The instance has to be
stopped.`,
		Example: `  milena repair
  milena repair --data /srv/milena --yes`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "data directory of a stopped instance (environment: MILENA_DATA; default ./"+defaultData+")")
	f.BoolVar(&o.yes, "yes", false, "give up what can't be read")
	f.StringVarP(&o.output, "output", "o", "", "json or yaml")
	completeWords(cmd, "output", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd) }
	return cmd
}

func (o *repair) run(ctx context.Context, cmd *cobra.Command) error {
	if o.output != "" && o.output != "json" && o.output != "yaml" {
		return usageOf(cmd, "-o %s: allowed are json, yaml", o.output)
	}
	dir := (&connection{c: o.c, data: o.data}).dataDir()
	broker, _, err := config.Load(config.Given{Flags: []config.KeyValue{{Key: "log.dirs", Value: dir}}})
	if err != nil {
		return usage(err, cmd)
	}
	told, err := server.Repair(ctx, server.Options{Config: broker, Log: o.c.logger("WARN")}, o.yes)
	if err != nil {
		return err
	}
	if o.output != "" {
		return printValue(o.c.out, told, o.output)
	}
	return o.print(told)
}

// print tells a person.
func (o *repair) print(told server.Repaired) error {
	var text strings.Builder
	if told.Reason == "" {
		fmt.Fprintf(&text, "%s is whole: there is nothing to repair.\n", told.Data)
		_, err := io.WriteString(o.c.out, text.String())
		return err
	}
	is := "is"
	if told.Done {
		is = "was"
	}
	fmt.Fprintf(&text, "%s %s damaged.\n  first of it: %s\n\n", told.Data, is, told.Reason)
	printDamagedLogs(&text, told)
	printTopics(&text, told)
	printDamagedFiles(&text, told)
	if told.Done {
		text.WriteString("Repaired: all logs are written again, and the damaged files lie in journal/lost/. Next: milena start\n")
	} else {
		fmt.Fprintf(&text, "Nothing was given up. A copy of the directory is a good idea; then: %s repair --data %s --yes\n", o.c.calledAs(), told.Data)
	}
	_, err := io.WriteString(o.c.out, text.String())
	return err
}

// shownMax is how many partitions or groups of a log a person is shown; -o json
// has all of them.
const shownMax = 20

func printDamagedLogs(w io.Writer, told server.Repaired) {
	for _, log := range told.Logs {
		fmt.Fprintf(w, "log %s can be read up to place %d.\n", log.Log, log.Place)
		switch {
		case told.Known != nil && log.Log == "cluster":
			fmt.Fprintf(w, "  It knows %d topics and %d users; what was changed later is lost.\n", told.Known.Topics, told.Known.Users)
		case strings.HasPrefix(log.Log, "coordinator"):
			printSome(w, "  Offsets that groups committed later are lost. Groups that it knows: ", "none", log.Groups)
		default:
			var ends []string
			for _, p := range log.Partitions {
				ends = append(ends, fmt.Sprintf("%s-%d from offset %d", p.Topic, p.Partition, p.From))
			}
			printSome(w, "  Records may be lost of: ", "no topic that is known", ends)
		}
	}
	fmt.Fprintln(w)
}

func printSome(w io.Writer, before, none string, words []string) {
	shown := strings.Join(words[:min(len(words), shownMax)], ", ")
	if len(words) == 0 {
		shown = none
	}
	if left := len(words) - shownMax; left > 0 {
		shown += fmt.Sprintf(" and %d more (-o json)", left)
	}
	fmt.Fprintln(w, before+shown)
}

func printTopics(w io.Writer, told server.Repaired) {
	var found, raised []string
	for _, topic := range told.Found {
		found = append(found, fmt.Sprintf("%s (%d partitions at least)", topic.Topic, topic.Partitions))
	}
	for _, topic := range told.Topics {
		raised = append(raised, fmt.Sprintf("%s (%d)", topic.Topic, topic.Epoch))
	}
	if len(found) > 0 {
		printSome(w, "Topics that only their data names, and that are made again, with default settings: ", "", found)
	}
	switch {
	case len(raised) == 0:
	case told.Done:
		printSome(w, "Topics whose leader epoch rose, to: ", "", raised)
	default:
		printSome(w, "Topics whose leader epoch will rise, and what it is now: ", "", raised)
	}
	if len(found)+len(raised) > 0 {
		fmt.Fprintln(w)
	}
}

func printDamagedFiles(w io.Writer, told server.Repaired) {
	table := tabwriter.NewWriter(w, 2, 8, 3, ' ', 0)
	for _, f := range told.Files {
		state := f.State
		switch {
		case f.Aside && told.Done:
			state += "; set aside"
		case f.Aside:
			state += "; will be set aside"
		}
		fmt.Fprintf(table, "%s\t%d bytes\t%s\n", f.Name, f.Bytes, state)
	}
	table.Flush() //nolint:errcheck // it goes into memory
	fmt.Fprintln(w)
}
