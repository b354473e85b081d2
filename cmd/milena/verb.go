package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// What the verbs list and describe have in common, whatever they show: the
// connection, -o, the names that a shell completes.

// outputFlag gives a command -o, and what is checked before it connects.
func outputFlag(cmd *cobra.Command) *string {
	output := cmd.Flags().StringP("output", "o", "", outputs)
	completeWords(cmd, "output", strings.Split(outputs, ", ")...)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return usage(err, cmd)
		}
		return nil
	}
	return output
}

// newList is the verb that lists all of a kind.
func newList(c *console, short string, list func(context.Context, *kadm.Client) (listing, error)) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: short, Args: cobra.NoArgs}
	k := connectionFlags(c, cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			l, err := list(ctx, adm)
			if err != nil {
				return err
			}
			return c.print(l, *output)
		})
	}
	return cmd
}

// newDescribe is the verb that shows one of a kind.
func newDescribe[T any](c *console, short string, names knownNames,
	find func(context.Context, *kadm.Client, string) (T, error), show func(T, string) error) *cobra.Command {
	cmd := &cobra.Command{Use: "describe NAME", Short: short, Args: cobra.ExactArgs(1)}
	k := connectionFlags(c, cmd)
	k.complete(cmd, 1, names)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			found, err := find(ctx, adm, args[0])
			if err != nil {
				return err
			}
			return show(found, *output)
		})
	}
	return cmd
}
