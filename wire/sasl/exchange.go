package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"milena/machine/cluster"
)

// Mechanisms by name, in the order in which they are offered.
var Mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

const (
	nonceBytes = 18
	tokenMax   = 16 << 10
	plainKept  = 4096 // passwords that were right, remembered under a key of this process
)

// otherName is what both kinds of mechanisms say to who asks to be somebody else.
const otherName = "Authentication failed: Client requested an authorization id that is different from username"

// Refusal is why somebody was not signed in. Text goes to the client, Reason
// into the log.
type Refusal struct {
	User, Text, Reason string
}

func (r *Refusal) Error() string { return r.Text }

// MadeUp is what users who are not there look like.
type MadeUp struct {
	Key        []byte // their salts come from it; empty: a random one, of this process alone
	Iterations int    // as users have who are there; 0: the default
}

// Checker knows the users.
type Checker struct {
	users  func(name string) (*cluster.User, bool)
	madeUp MadeUp
	secret [32]byte // of this process: remembered passwords

	mu    sync.Mutex
	right map[[32]byte]bool // MACs of user, verifier and password
}

// NewChecker makes a checker.
func NewChecker(users func(name string) (*cluster.User, bool), madeUp MadeUp) *Checker {
	c := &Checker{users: users, madeUp: madeUp, right: make(map[[32]byte]bool)}
	rand.Read(c.secret[:])
	if len(c.madeUp.Key) == 0 {
		c.madeUp.Key = make([]byte, len(c.secret))
		rand.Read(c.madeUp.Key)
	}
	if c.madeUp.Iterations == 0 {
		c.madeUp.Iterations = IterationsDefault
	}
	return c
}

// verifier gives a user's, or a made-up one that looks the same every time.
func (c *Checker) verifier(name string, m cluster.Mechanism) (v cluster.Verifier, known bool) {
	if u, ok := c.users(name); ok {
		if v, ok := u.Verifiers[m]; ok {
			return v, true
		}
	}
	made := mac(m, c.madeUp.Key, name)
	return cluster.Verifier{Iterations: int32(c.madeUp.Iterations), Salt: made[:saltBytes], StoredKey: made, ServerKey: made}, false
}

// Exchange is one attempt to sign in.
type Exchange interface {
	// Step takes the client's token: what to answer, and whether it is done.
	Step(token []byte) (answer []byte, done bool, err error)
	// User is who has signed in, once it is done.
	User() string
}

// New begins an exchange; nil for a mechanism that is not there.
func (c *Checker) New(mechanism string) Exchange {
	switch mechanism {
	case "PLAIN":
		return &plain{checker: c}
	case "SCRAM-SHA-256":
		return &scram{checker: c, mechanism: cluster.ScramSHA256}
	case "SCRAM-SHA-512":
		return &scram{checker: c, mechanism: cluster.ScramSHA512}
	}
	return nil
}

type plain struct {
	checker *Checker
	user    string
}

func (p *plain) User() string { return p.user }

func (p *plain) Step(token []byte) ([]byte, bool, error) {
	parts := strings.Split(string(token), "\x00")
	if len(token) > tokenMax || len(parts) != 3 {
		return nil, false, &Refusal{Text: fmt.Sprintf("Invalid SASL/PLAIN response: expected 3 tokens, got %d", len(parts)), Reason: "malformed"}
	}
	authzid, user, password := parts[0], parts[1], parts[2]
	switch {
	case user == "":
		return nil, false, &Refusal{Text: "Authentication failed: username not specified", Reason: "no user name"}
	case password == "":
		return nil, false, &Refusal{User: user, Text: "Authentication failed: password not specified", Reason: "no password"}
	case !p.checker.check(user, password):
		return nil, false, &Refusal{User: user, Text: "Authentication failed: Invalid username or password", Reason: "unknown user or wrong password"}
	case authzid != "" && authzid != user:
		return nil, false, &Refusal{User: user, Text: otherName, Reason: "asked to be somebody else"}
	}
	p.user = user
	return nil, true, nil
}

// check compares a password with a user's verifier. That is dear on purpose, so
// what was right once is remembered for as long as the verifier stays.
func (c *Checker) check(user, password string) bool {
	m := cluster.ScramSHA256
	v, known := c.verifier(user, m)
	if !known {
		if w, ok := c.verifier(user, cluster.ScramSHA512); ok {
			m, v, known = cluster.ScramSHA512, w, true
		}
	}
	seen := c.fingerprint(user, v, password)
	c.mu.Lock()
	right := c.right[seen]
	c.mu.Unlock()
	if right && known {
		return true
	}
	salted, err := Salt(m, password, v.Salt, int(v.Iterations))
	if err != nil {
		return false
	}
	got := sum(m, mac(m, salted, "Client Key"))
	if subtle.ConstantTimeCompare(got, v.StoredKey) != 1 || !known {
		return false
	}
	c.mu.Lock()
	if len(c.right) >= plainKept {
		clear(c.right)
	}
	c.right[seen] = true
	c.mu.Unlock()
	return true
}

func (c *Checker) fingerprint(user string, v cluster.Verifier, password string) (f [32]byte) {
	h := hmac.New(hashOf(cluster.ScramSHA256), c.secret[:])
	fmt.Fprintf(h, "%d:%s%d:%s", len(user), user, len(v.StoredKey), v.StoredKey)
	h.Write([]byte(password))
	copy(f[:], h.Sum(nil))
	return f
}

// scram is RFC 5802, the server's side.
type scram struct {
	checker   *Checker
	mechanism cluster.Mechanism
	name      string
	gs2       string
	client    string // the client's part of the nonce
	nonce     string
	first     string // client-first-bare and server-first
	verifier  cluster.Verifier
	known     bool
	user      string
}

func (s *scram) User() string { return s.user }

func (s *scram) refuse(reason string) error {
	return &Refusal{User: s.name, Reason: reason,
		Text: "Authentication failed during authentication due to invalid credentials with SASL mechanism " + s.mechanism.Name()}
}

func (s *scram) Step(token []byte) ([]byte, bool, error) {
	if len(token) > tokenMax {
		return nil, false, s.refuse("token too long")
	}
	if s.first == "" {
		answer, err := s.begin(string(token))
		return answer, false, err
	}
	answer, err := s.finish(string(token))
	return answer, err == nil, err
}

// begin takes client-first: n,[a=authzid],n=user,r=nonce[,extensions].
func (s *scram) begin(message string) ([]byte, error) {
	flag, rest, ok := strings.Cut(message, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || flag != "n" {
		return nil, s.refuse("malformed, or channel binding")
	}
	s.gs2 = flag + "," + authzid + ","
	var nonce string
	for i, field := range strings.Split(bare, ",") {
		switch {
		case i == 0 && strings.HasPrefix(field, "n="):
			s.name = unescape(field[2:])
		case i == 1 && strings.HasPrefix(field, "r="):
			nonce = field[2:]
		case i < 2:
			return nil, s.refuse("malformed")
		case field == "tokenauth=true":
			return nil, s.refuse("delegation tokens are not served")
		}
	}
	if s.name == "" || nonce == "" {
		return nil, s.refuse("malformed")
	}
	if id, asked := strings.CutPrefix(authzid, "a="); asked && unescape(id) != s.name || !asked && authzid != "" {
		return nil, &Refusal{User: s.name, Text: otherName, Reason: "asked to be somebody else"}
	}
	var own [nonceBytes]byte
	rand.Read(own[:])
	s.client = nonce
	s.nonce = nonce + base64.RawStdEncoding.EncodeToString(own[:])
	s.verifier, s.known = s.checker.verifier(s.name, s.mechanism)
	answer := fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.verifier.Salt), s.verifier.Iterations)
	s.first = bare + "," + answer
	return []byte(answer), nil
}

func unescape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "=2C", ","), "=3D", "=")
}

// finish takes client-final: c=gs2 header,r=nonce,p=proof.
func (s *scram) finish(message string) ([]byte, error) {
	without, proofText, ok := strings.Cut(message, ",p=")
	fields := strings.Split(without, ",")
	if !ok || len(fields) < 2 || !strings.HasPrefix(fields[0], "c=") || !strings.HasPrefix(fields[1], "r=") {
		return nil, s.refuse("malformed")
	}
	binding, err := base64.StdEncoding.DecodeString(fields[0][2:])
	proof, err2 := base64.StdEncoding.DecodeString(proofText)
	switch {
	case errors.Join(err, err2) != nil:
		return nil, s.refuse("malformed")
	case !bytes.Equal(binding, []byte(s.gs2)):
		return nil, s.refuse("channel binding does not match")
	case !s.sameNonce(fields[1][2:]):
		return nil, s.refuse("nonce does not match")
	}
	message = s.first + "," + without
	signature := mac(s.mechanism, s.verifier.StoredKey, message)
	if len(proof) != len(signature) {
		return nil, s.refuse("malformed")
	}
	key := make([]byte, len(proof))
	subtle.XORBytes(key, proof, signature)
	if subtle.ConstantTimeCompare(sum(s.mechanism, key), s.verifier.StoredKey) != 1 || !s.known {
		return nil, s.refuse("unknown user or wrong password")
	}
	s.user = s.name
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(s.mechanism, s.verifier.ServerKey, message))), nil
}

// sameNonce says that a client-final has the nonce of this exchange. librdkafka
// before 2.6 puts its own part in front a second time; that proves as much, and
// nothing else is let pass.
func (s *scram) sameNonce(nonce string) bool {
	exact := subtle.ConstantTimeCompare([]byte(nonce), []byte(s.nonce))
	doubled := subtle.ConstantTimeCompare([]byte(nonce), []byte(s.client+s.nonce))
	return exact|doubled == 1
}
