package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// completeLimit is how long a person waits after pressing Tab.
const completeLimit = time.Second

// complete lets a shell complete names that a broker knows. A broker that
// cannot be reached completes nothing and says nothing.
func (k *connection) complete(cmd *cobra.Command, most int, names func(context.Context, *kadm.Client) ([]string, error)) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveDefault
		}
		limit, cancel := context.WithTimeout(context.Background(), completeLimit)
		defer cancel()
		var found []string
		err := k.admin(limit, cmd, func(ctx context.Context, adm *kadm.Client) (err error) {
			found, err = names(ctx, adm)
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
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
