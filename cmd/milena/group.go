package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

func newGroup(c *console) *cobra.Command {
	return group("group", "List, describe and delete consumer groups",
		newGroupList(c), newGroupDescribe(c), newGroupDelete(c))
}

type shownGroup struct {
	Name     string `json:"name"`
	State    string `json:"state"`
	Protocol string `json:"protocol"`
}

func newGroupList(c *console) *cobra.Command {
	return newList(c, "All consumer groups", func(ctx context.Context, adm *kadm.Client) (listing, error) {
		groups, err := adm.ListGroups(ctx)
		if err != nil {
			return listing{}, err
		}
		l := listing{head: []string{"name", "state", "protocol"}}
		shown := []shownGroup{}
		for _, g := range groups.Sorted() {
			shown = append(shown, shownGroup{g.Group, g.State, g.ProtocolType})
			l.rows = append(l.rows, []string{g.Group, g.State, g.ProtocolType})
		}
		l.json = shown
		return l, nil
	})
}

type shownMember struct {
	ID       string `json:"id"`
	Instance string `json:"instance,omitempty"`
	Client   string `json:"client"`
	Host     string `json:"host"`
}

type shownLag struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // -1: nothing
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member,omitempty"`
}

type describedGroup struct {
	shownGroup
	Assignor    string        `json:"assignor"`
	Coordinator int32         `json:"coordinator"`
	Members     []shownMember `json:"members"`
	Partitions  []shownLag    `json:"partitions"`
}

func newGroupDescribe(c *console) *cobra.Command {
	return newDescribe(c, "A group's members, offsets and lag", groupNames, wholeGroup, c.printGroup)
}

// wholeGroup describes a group. Brokers call one that does not exist Dead,
// without a member or an offset.
func wholeGroup(ctx context.Context, adm *kadm.Client, name string) (describedGroup, error) {
	lags, err := adm.Lag(ctx, name)
	if err != nil {
		return describedGroup{}, err
	}
	g := lags[name]
	if err := g.Error(); err != nil {
		return describedGroup{}, fmt.Errorf("group %s: %w", name, err)
	}
	if g.State == "Dead" && len(g.Members) == 0 {
		return describedGroup{}, fmt.Errorf("group %s: %w", name, kerr.GroupIDNotFound)
	}
	d := describedGroup{
		shownGroup: shownGroup{name, g.State, g.ProtocolType},
		Assignor:   g.Protocol, Coordinator: g.Coordinator.NodeID,
		Members: []shownMember{}, Partitions: []shownLag{},
	}
	for _, m := range g.Members {
		shown := shownMember{ID: m.MemberID, Client: m.ClientID, Host: m.ClientHost}
		if m.InstanceID != nil {
			shown.Instance = *m.InstanceID
		}
		d.Members = append(d.Members, shown)
	}
	for _, l := range g.Lag.Sorted() {
		shown := shownLag{Topic: l.Topic, Partition: l.Partition, Committed: l.Commit.At, End: l.End.Offset, Lag: l.Lag}
		if l.Member != nil {
			shown.Member = l.Member.MemberID
		}
		d.Partitions = append(d.Partitions, shown)
	}
	return d, nil
}

func (c *console) printGroup(d describedGroup, output string) error {
	l := listing{head: []string{"topic", "partition", "committed", "end", "lag", "member"}, json: d}
	for _, p := range d.Partitions {
		l.rows = append(l.rows, []string{
			p.Topic, strconv.Itoa(int(p.Partition)), orDash(p.Committed), orDash(p.End), orDash(p.Lag), p.Member,
		})
	}
	if output == "table" || output == "" && c.outTerminal {
		fmt.Fprintf(c.out, "%s   %s, %d members", d.Name, d.State, len(d.Members))
		if d.Assignor != "" {
			fmt.Fprintf(c.out, ", assigned by %s", d.Assignor)
		}
		fmt.Fprint(c.out, "\n\n")
	}
	return c.print(l, output)
}

func orDash(n int64) string {
	if n < 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

func newGroupDelete(c *console) *cobra.Command {
	cmd := &cobra.Command{Use: "delete NAME…", Short: "Delete groups and their offsets", Args: cobra.MinimumNArgs(1)}
	k := connectionFlags(c, cmd)
	k.complete(cmd, 0, groupNames)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		return k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			gone, err := adm.DeleteGroups(ctx, names...)
			if err != nil {
				return err
			}
			var failed []error
			for _, g := range gone.Sorted() {
				if g.Err != nil {
					failed = append(failed, fmt.Errorf("group %s: %w", g.Group, g.Err))
				} else if c.outTerminal {
					fmt.Fprintf(c.out, "deleted group %s\n", g.Group)
				}
			}
			return errors.Join(failed...)
		})
	}
	return cmd
}
