package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	scramIterations    = 8192
	scramIterationsMin = 4096
	scramIterationsMax = 16384
	saltSize           = 32
	passwordSize       = 24 // characters of one that we make
)

func newUser(c *console) *cobra.Command {
	return group("user", "Create, list, describe and delete users",
		newUserCreate(c), newUserList(c), newUserDescribe(c), newUserDelete(c))
}

func newUserCreate(c *console) *cobra.Command {
	var (
		newPassword string
		iterations  int32
		replace     bool
	)
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a user, or with --replace give one a new password",
		Long: `Makes a user who can sign in with SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN, by one
password: the one in --password-file, else one that is made and printed, this once.

--password-file is the new user's. Your own password comes from MILENA_PASSWORD, from
--config, from --user-password-file, or from a question.`,
		Example: `  milena user create alice --password-file alice.pw
  milena user create alice --user admin --user-password-file admin.pw --ca phy_ca.crt`,
		Args: cobra.ExactArgs(1),
	}
	k := connectionFlagsWith(c, cmd, "user-password-file")
	f := cmd.Flags()
	f.StringVar(&newPassword, "password-file", "", "file with the new user's password")
	f.Int32Var(&iterations, "iterations", scramIterations, "how often the password is hashed, 4096 to 16384")
	f.BoolVar(&replace, "replace", false, "the user may be there: change the password")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if iterations < scramIterationsMin || iterations > scramIterationsMax {
			return usageOf(cmd, "--iterations %d: allowed are %d to %d", iterations, scramIterationsMin, scramIterationsMax)
		}
		password, made := rand.Text()[:passwordSize], true
		if newPassword != "" {
			var err error
			if password, err = readPassword(newPassword); err != nil {
				return usageOf(cmd, "--password-file: %w", err)
			}
			made = false
		}
		err := k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			return createUser(ctx, adm, args[0], password, iterations, replace)
		})
		if err != nil {
			return err
		}
		return c.printNewUser(args[0], password, made)
	}
	return cmd
}

func (c *console) printNewUser(name, password string, made bool) error {
	var err error
	switch {
	case made && c.outTerminal:
		_, err = fmt.Fprintf(c.out, "The password of %s, shown this once:\n\n  %s\n", name, password)
	case made:
		_, err = fmt.Fprintln(c.out, password)
	case c.outTerminal:
		_, err = fmt.Fprintf(c.out, "user %s can sign in\n", name)
	}
	return err
}

func createUser(ctx context.Context, adm *kadm.Client, name, password string, iterations int32, replace bool) error {
	if !replace {
		_, err := findUser(ctx, adm, name)
		if err == nil {
			return conflict("milena user create "+name+" --replace", "user %s is there already", name)
		}
		if !errors.Is(err, kerr.ResourceNotFound) {
			return err
		}
	}
	verifiers, err := saltedVerifiers(name, password, iterations)
	if err != nil {
		return err
	}
	for i, one := range verifiers { // Kafka takes a user once in a request
		altered, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{one})
		if err := alteredUser(name, altered, err); err != nil {
			if i > 0 {
				err = fmt.Errorf("only %s was set: %w", verifiers[0].Mechanism, err)
			}
			return err
		}
	}
	return nil
}

func alteredUser(name string, altered kadm.AlteredUserSCRAMs, err error) error {
	if err != nil {
		return err
	}
	for _, a := range altered {
		if a.Err != nil {
			return told("user "+name, a.Err, a.ErrMessage)
		}
	}
	return nil
}

// saltedVerifiers hash a password here, so that it never travels. Kafka hashes
// its bytes as they are.
func saltedVerifiers(name, password string, iterations int32) ([]kadm.UpsertSCRAM, error) {
	salt256, salt512 := make([]byte, saltSize), make([]byte, saltSize)
	_, _ = rand.Read(salt256) // never fails: it ends the process instead
	_, _ = rand.Read(salt512)
	salted256, err := pbkdf2.Key(sha256.New, password, salt256, int(iterations), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("hash the password: %w", err)
	}
	salted512, err := pbkdf2.Key(sha512.New, password, salt512, int(iterations), sha512.Size)
	if err != nil {
		return nil, fmt.Errorf("hash the password: %w", err)
	}
	return []kadm.UpsertSCRAM{
		{User: name, Mechanism: kadm.ScramSha512, Iterations: iterations, Salt: salt512, SaltedPassword: salted512},
		{User: name, Mechanism: kadm.ScramSha256, Iterations: iterations, Salt: salt256, SaltedPassword: salted256},
	}, nil
}

type shownUser struct {
	Name       string   `json:"name"`
	Mechanisms []string `json:"mechanisms"`
	Iterations []int32  `json:"iterations"`
}

func findUser(ctx context.Context, adm *kadm.Client, name string) (kadm.DescribedUserSCRAM, error) {
	users, err := adm.DescribeUserSCRAMs(ctx, name)
	if err != nil {
		return kadm.DescribedUserSCRAM{}, err
	}
	user, ok := users[name]
	switch {
	case !ok:
		return user, fmt.Errorf("user %s: %w", name, kerr.ResourceNotFound)
	case errors.Is(user.Err, kerr.ResourceNotFound):
		return user, fmt.Errorf("user %s: %w", name, user.Err) // Kafka's message only repeats it
	}
	return user, told("user "+name, user.Err, user.ErrMessage)
}

func userOf(u kadm.DescribedUserSCRAM) shownUser {
	shown := shownUser{Name: u.User, Mechanisms: []string{}, Iterations: []int32{}}
	for _, info := range u.CredInfos {
		shown.Mechanisms = append(shown.Mechanisms, info.Mechanism.String())
		shown.Iterations = append(shown.Iterations, info.Iterations)
	}
	return shown
}

func newUserList(c *console) *cobra.Command {
	return newList(c, "All users", func(ctx context.Context, adm *kadm.Client) (listing, error) {
		users, err := adm.DescribeUserSCRAMs(ctx)
		if err != nil {
			return listing{}, err
		}
		shown := []shownUser{}
		for _, u := range users.Sorted() {
			shown = append(shown, userOf(u))
		}
		return listUsers(shown, shown), nil
	})
}

func newUserDescribe(c *console) *cobra.Command {
	return newDescribe(c, "How a user can sign in", userNames, findUser,
		func(u kadm.DescribedUserSCRAM, output string) error {
			return c.print(listUsers([]shownUser{userOf(u)}, userOf(u)), output)
		})
}

func listUsers(users []shownUser, json any) listing {
	l := listing{head: []string{"name", "mechanisms", "iterations"}, json: json}
	for _, u := range users {
		l.rows = append(l.rows, []string{u.Name, strings.Join(u.Mechanisms, ","), numbers(u.Iterations)})
	}
	return l
}

func newUserDelete(c *console) *cobra.Command {
	cmd := &cobra.Command{Use: "delete NAME", Short: "Delete a user", Args: cobra.ExactArgs(1)}
	k := connectionFlags(c, cmd)
	k.complete(cmd, 1, userNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := k.admin(cmd.Context(), cmd, func(ctx context.Context, adm *kadm.Client) error {
			user, err := findUser(ctx, adm, args[0])
			if err != nil {
				return err
			}
			for _, info := range user.CredInfos {
				altered, err := adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: args[0], Mechanism: info.Mechanism}}, nil)
				if err := alteredUser(args[0], altered, err); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && c.outTerminal {
			fmt.Fprintf(c.out, "deleted user %s\n", args[0])
		}
		return err
	}
	return cmd
}
