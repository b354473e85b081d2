package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"

	"milena/machine/cluster"
	"milena/wire/sasl"
)

// madeUser is the superuser that this start made, if it made one.
type madeUser struct {
	name, password string
	fromFile       bool
}

const passwordBytes = 15 // of randomness in a password that is made

// newPassword is easy to copy and hard to guess.
func newPassword() string {
	var b [passwordBytes]byte
	rand.Read(b[:])
	text := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
	return text[:6] + "-" + text[6:12] + "-" + text[12:18] + "-" + text[18:]
}

// makeSecure makes what a secure instance needs and does not have: the first
// superuser, the certificate. An instance has one first superuser; a name that
// is given later is not another.
func (s *Server) makeSecure(ctx context.Context) error {
	if err := s.certify(); err != nil {
		return err
	}
	if !s.instance.Secure || s.cluster.HasSuperuser() {
		return nil
	}
	user := madeUser{name: s.o.Admin, password: s.o.AdminPassword, fromFile: s.o.AdminPassword != ""}
	if user.name == "" {
		user.name = "admin"
	}
	if user.password == "" {
		user.password = newPassword()
	}
	verifiers := make(map[cluster.Mechanism]cluster.Verifier)
	for _, m := range []cluster.Mechanism{cluster.ScramSHA256, cluster.ScramSHA512} {
		v, err := sasl.NewVerifier(m, user.password, int(s.o.Config.Int("scram.iterations")))
		if err != nil {
			return fmt.Errorf("superuser %s: %w", user.name, err)
		}
		verifiers[m] = v
	}
	made, err := s.cluster.MakeSuperuser(ctx, user.name, verifiers)
	if err != nil {
		return fmt.Errorf("superuser %s: %w", user.name, err)
	}
	if made {
		s.made = user
	}
	return nil
}
