package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/machine/cluster"
)

// Iterations that Kafka accepts.
const (
	iterationsMin = 4096
	iterationsMax = 16384
)

// administers says whether somebody may change users.
func (h *Handlers) administers(s *Session) error {
	if h.Cluster.IsSuperuser(s.User) {
		return nil
	}
	return fmt.Errorf("%w: only the superuser administers users, and %s is not", kerr.ClusterAuthorizationFailed, s.User)
}

// describeUserSCRAM lists who can sign in, and how.
func (h *Handlers) describeUserSCRAM(_ context.Context, s *Session, req *kmsg.DescribeUserSCRAMCredentialsRequest) answer {
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if err := h.administers(s); err != nil {
		resp.ErrorCode, resp.ErrorMessage = h.code(err), message(err)
		return body{resp}
	}
	if len(req.Users) == 0 {
		for _, u := range h.Cluster.Users() {
			resp.Results = append(resp.Results, describeUser(u))
		}
		return body{resp}
	}
	times := make(map[string]int)
	for _, u := range req.Users {
		times[u.Name]++
	}
	for _, u := range req.Users {
		out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		out.User = u.Name
		user, ok := h.Cluster.User(u.Name)
		var err error
		switch {
		case times[u.Name] < 0:
			continue
		case times[u.Name] > 1:
			times[u.Name] = -1
			err = fmt.Errorf("%w: Cannot describe SCRAM credentials for the same user twice in a single request: %s", kerr.DuplicateResource, u.Name)
		case !ok:
			err = fmt.Errorf("%w: Attempt to describe a user credential that does not exist: %s", kerr.ResourceNotFound, u.Name)
		default:
			out = describeUser(user)
		}
		out.ErrorCode, out.ErrorMessage = h.code(err), message(err)
		resp.Results = append(resp.Results, out)
	}
	return body{resp}
}

func describeUser(u *cluster.User) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	out.User = u.Name
	for _, m := range []cluster.Mechanism{cluster.ScramSHA256, cluster.ScramSHA512} {
		if v, ok := u.Verifiers[m]; ok {
			one := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
			one.Mechanism, one.Iterations = int8(m), v.Iterations
			out.CredentialInfos = append(out.CredentialInfos, one)
		}
	}
	return out
}

// alterUserSCRAM sets and removes passwords. What comes is salted already: the
// password itself never does.
func (h *Handlers) alterUserSCRAM(ctx context.Context, s *Session, req *kmsg.AlterUserSCRAMCredentialsRequest) answer {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	denied := h.administers(s)
	type asked struct {
		change cluster.UserChange
		err    error
	}
	var all []asked
	times := make(map[string]int)
	for _, d := range req.Deletions {
		c := cluster.UserChange{Name: d.Name, Mechanism: cluster.Mechanism(d.Mechanism)}
		all = append(all, asked{c, mechanismError(c)})
		times[d.Name]++
	}
	for _, u := range req.Upsertions {
		c := cluster.UserChange{Name: u.Name, Mechanism: cluster.Mechanism(u.Mechanism)}
		err := mechanismError(c)
		switch {
		case err != nil:
		case u.Iterations < iterationsMin:
			err = fmt.Errorf("%w: Too few iterations", kerr.UnacceptableCredential)
		case u.Iterations > iterationsMax:
			err = fmt.Errorf("%w: Too many iterations", kerr.UnacceptableCredential)
		default:
			v := verifierOf(c.Mechanism, u)
			c.Set = &v
		}
		all = append(all, asked{c, err})
		times[u.Name]++
	}
	var changes []cluster.UserChange
	var spots []int
	for _, a := range all {
		name := a.change.Name
		if times[name] < 0 {
			continue
		}
		err := a.err
		switch {
		case denied != nil:
			err = denied
		case times[name] > 1:
			err = fmt.Errorf("%w: A user credential cannot be altered twice in the same request", kerr.DuplicateResource)
		}
		if times[name] > 1 {
			times[name] = -1
		}
		out := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		out.User, out.ErrorCode, out.ErrorMessage = name, h.code(err), message(err)
		if err == nil {
			changes = append(changes, a.change)
			spots = append(spots, len(resp.Results))
		}
		resp.Results = append(resp.Results, out)
	}
	if len(changes) == 0 {
		return body{resp}
	}
	for i, err := range h.Cluster.AlterUsers(ctx, changes) {
		out := &resp.Results[spots[i]]
		out.ErrorCode, out.ErrorMessage = h.code(err), message(err)
	}
	return body{resp}
}

func mechanismError(c cluster.UserChange) error {
	switch {
	case c.Name == "":
		return fmt.Errorf("%w: Username must not be empty", kerr.UnacceptableCredential)
	case c.Mechanism != cluster.ScramSHA256 && c.Mechanism != cluster.ScramSHA512:
		return fmt.Errorf("%w: Unknown SCRAM mechanism", kerr.UnsupportedSaslMechanism)
	}
	return nil
}

// verifierOf derives what is kept from the salted password that came.
func verifierOf(m cluster.Mechanism, u kmsg.AlterUserSCRAMCredentialsRequestUpsertion) cluster.Verifier {
	newHash := func() hash.Hash { return sha256.New() }
	if m == cluster.ScramSHA512 {
		newHash = sha512.New
	}
	mac := func(text string) []byte {
		h := hmac.New(newHash, u.SaltedPassword)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := newHash()
	stored.Write(mac("Client Key"))
	return cluster.Verifier{Iterations: u.Iterations, Salt: slices.Clone(u.Salt), StoredKey: stored.Sum(nil), ServerKey: mac("Server Key")}
}
