package server

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const rightsPassword = "a password of this test"

// asUser is a client of a user, by a mechanism; without a name it is ANONYMOUS.
func asUser(t *testing.T, s *Server, name, mechanism string) *kgo.Client {
	t.Helper()
	auth := scram.Auth{User: name, Pass: rightsPassword}
	listener, opts := "SASL_PLAINTEXT", []kgo.Opt{}
	switch {
	case name == "":
		listener = "PLAINTEXT"
	case mechanism == "PLAIN":
		opts = append(opts, kgo.SASL(plain.Auth{User: name, Pass: rightsPassword}.AsMechanism()))
	case mechanism == "SCRAM-SHA-256":
		opts = append(opts, kgo.SASL(auth.AsSha256Mechanism()))
	default:
		opts = append(opts, kgo.SASL(auth.AsSha512Mechanism()))
	}
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(s.Addresses()[listener]), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// makeUser asks for a user, by one request a mechanism.
func makeUser(t *testing.T, c *kgo.Client, name string) error {
	t.Helper()
	for _, m := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		made, err := kadm.NewClient(c).AlterUserSCRAMs(within(t, time.Minute), nil, []kadm.UpsertSCRAM{{User: name, Mechanism: m, Iterations: 4096, Password: rightsPassword}})
		if err != nil {
			return err
		}
		if err := made[name].Err; err != nil {
			return err
		}
	}
	return nil
}

func TestOnlyTheSuperuserAdministersUsers(t *testing.T) {
	both := "PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0"
	for name, tt := range map[string]struct {
		secure     bool
		superusers string
		may        map[string]bool // by user; the empty one is ANONYMOUS
	}{
		"there is none yet":                {false, "", map[string]bool{"": true}},
		"there is one":                     {true, "", map[string]bool{"": false, "admin": true, "ada": false}},
		"super.users names another":        {true, "User:ada", map[string]bool{"": false, "admin": true, "ada": true}},
		"super.users names ANONYMOUS":      {true, "User:ANONYMOUS", map[string]bool{"": true, "admin": true, "ada": false}},
		"super.users alone, of no one yet": {false, "User:ada", map[string]bool{"": false}},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Memory: true, Secure: tt.secure, Admin: "admin", Config: configure(t, t.TempDir(), "listeners", both, "super.users", tt.superusers)}
			if !tt.secure {
				o.Admin, o.Config = "", configure(t, t.TempDir(), "super.users", tt.superusers)
			} else {
				o.AdminPassword = rightsPassword
			}
			s := start(t, o)
			defer stop(t, s)
			if tt.secure {
				if err := makeUser(t, asUser(t, s, "admin", "PLAIN"), "ada"); err != nil {
					t.Fatalf("the superuser: %v", err)
				}
			}
			for user, may := range tt.may {
				err := makeUser(t, asUser(t, s, user, "SCRAM-SHA-512"), "new")
				if may && err != nil || !may && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
					t.Errorf("%q makes a user: %v; may: %t", user, err, may)
				}
			}
			if !tt.secure {
				return
			}
			for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} { // any user may use topics and groups
				r := &kgo.Record{Topic: "t", Value: []byte("v")}
				if err := asUser(t, s, "ada", mechanism).ProduceSync(within(t, time.Minute), r).FirstErr(); err != nil {
					t.Errorf("ada by %s: %v", mechanism, err)
				}
			}
		})
	}
}

func TestGroupsAppearByUseUnlessThatIsOff(t *testing.T) {
	dir := t.TempDir()
	for _, on := range []string{"true", "false"} {
		s := start(t, Options{Config: configure(t, dir, "auto.create.groups.enable", on)})
		c := client(t, s)
		admin := kadm.NewClient(c)
		ctx := within(t, time.Minute)
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		var offsets kadm.Offsets
		offsets.AddOffset("t", 0, 1, -1)
		err := admin.CommitAllOffsets(ctx, "of-"+on, offsets)
		if want := on == "true"; want != (err == nil) || !want && !errors.Is(err, kerr.GroupAuthorizationFailed) {
			t.Errorf("auto.create.groups.enable=%s: a commit of an unknown group: %v", on, err)
		}
		if err := admin.CommitAllOffsets(ctx, "of-true", offsets); err != nil {
			t.Errorf("auto.create.groups.enable=%s: a commit of a known group: %v", on, err)
		}
		stop(t, s)
		s = start(t, Options{Config: configure(t, dir)})
		if listed, err := kadm.NewClient(client(t, s)).ListGroups(ctx); err != nil || len(listed) != 1 {
			t.Errorf("auto.create.groups.enable=%s: groups %v after a restart, %v", on, listed.Groups(), err)
		}
		stop(t, s)
	}
}
