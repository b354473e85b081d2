package server

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// Any user may use topics and groups; only the superuser says who is one.
func TestOnlyTheSuperuserAdministersUsers(t *testing.T) {
	s := start(t, Options{Config: configure(t, t.TempDir(), "listeners", "SASL_PLAINTEXT://127.0.0.1:0"), Secure: true})
	defer stop(t, s)
	as := func(user, password string) *kadm.Client {
		c, err := kgo.NewClient(kgo.SeedBrokers(s.Addresses()["SASL_PLAINTEXT"]), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return kadm.NewClient(c)
	}
	makeUser := func(c *kadm.Client, name string) error {
		altered, err := c.AlterUserSCRAMs(within(t, 60*time.Second), nil,
			[]kadm.UpsertSCRAM{{User: name, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: name + "-secret"}})
		if err != nil {
			return err
		}
		return altered[name].Err
	}
	if err := makeUser(as("admin", s.made.password), "alice"); err != nil {
		t.Fatal(err)
	}
	alice := as("alice", "alice-secret")
	if err := makeUser(alice, "bob"); !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Errorf("alice makes a user: %v, want %v", err, kerr.ClusterAuthorizationFailed)
	}
	if _, there := s.cluster.User("bob"); there {
		t.Error("the user that alice made is there")
	}
	if _, err := alice.CreateTopic(within(t, 60*time.Second), 1, 1, nil, "orders"); err != nil {
		t.Errorf("alice makes a topic: %v", err)
	}
}
