package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// completeLimit is how long a person waits after pressing Tab.
const completeLimit = time.Second

// knownNames asks a broker for the names that may stand somewhere.
type knownNames func(context.Context, *kadm.Client) ([]string, error)

// complete lets a shell complete a command's arguments, the first few or (0)
// all of them.
func (k *connection) complete(cmd *cobra.Command, most int, names knownNames) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return k.known(cmd, names), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag lets a shell complete a flag's value likewise.
func (k *connection) completeFlag(cmd *cobra.Command, flag string, names knownNames) {
	must(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return k.known(cmd, names), cobra.ShellCompDirectiveNoFileComp
	}))
}

// completeWords lets a shell complete one of a few words.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// completeProperties lets a shell complete a client property's name up to its =.
func completeProperties(cmd *cobra.Command) {
	must(cmd.RegisterFlagCompletionFunc("property", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names := propertyNames()
		for i := range names {
			names[i] += "="
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}))
}

// must is for a flag of ours that is misspelt in these files.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// known are names that a broker knows. One that cannot be reached knows none
// and says nothing.
func (k *connection) known(cmd *cobra.Command, names knownNames) (found []string) {
	limit, cancel := context.WithTimeout(context.Background(), completeLimit)
	defer cancel()
	_ = k.admin(limit, cmd, func(ctx context.Context, adm *kadm.Client) (err error) {
		found, err = names(ctx, adm)
		return err
	})
	return found
}

func topicNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	topics, err := adm.ListTopics(ctx)
	return topics.Names(), err
}

func groupNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	groups, err := adm.ListGroups(ctx)
	return groups.Groups(), err
}

func userNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	users, err := adm.DescribeUserSCRAMs(ctx)
	var names []string
	for _, u := range users.Sorted() {
		names = append(names, u.User)
	}
	return names, err
}
