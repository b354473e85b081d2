package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milena/api"
	"milena/config"
	"milena/machine/cluster"
	"milena/wire/sasl"
)

// otherwise are the cases in which we do not as Kafka does, and why.
var otherwise = map[string]string{
	"sasl/scram-cb-wrong":                "Kafka does not look at the channel binding's echo: a change on the way would not show",
	"sasl/scram-proof-short":             "Kafka closes without a word; we refuse as for any wrong proof",
	"sasl/scram-sha-256-v0-unknown-user": "Kafka refuses an unknown user before the proof, so names can be guessed",
	"sasl/scram-sha-256-v1-unknown-user": "the same",
	"sasl/scram-sha-512-v0-unknown-user": "the same",
	"sasl/scram-sha-512-v1-unknown-user": "the same",
	"sasl/scram-user-bad-escape":         "the same: it is an unknown user",
	"sasl/scram-user-escaped":            "the same",
}

// testdata/sasl.txt is what Apache Kafka 4.3.1 answered, case by case; see
// otherwise for where we differ. Steps: conn, send (a frame without its
// length), raw (bytes), scram (an exchange), wait, recv and what came.
func TestSigningInIsAsKafkaDoesIt(t *testing.T) {
	text, err := os.ReadFile("testdata/sasl.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(text), "== ")[1:]
	if len(cases) < 70 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, one := range cases {
		name, steps, _ := strings.Cut(one, "\n")
		t.Run(strings.TrimPrefix(name, "sasl/"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &golden{t: t, differs: otherwise[name] != ""}
				g.replay(strings.Split(steps, "\n"))
				close(g.out)
				g.p.Close()
				g.server.stop()
				if differed := g.differed; differed != g.differs {
					t.Errorf("it is said to differ: %t; it differs: %t", g.differs, differed)
				}
			})
		})
	}
}

// golden replays one case.
type golden struct {
	t                 *testing.T
	server            *running
	p                 *peer
	out               chan []byte // to p, which may be closed
	differs, differed bool
}

// wrong notes a difference, and ends the case.
func (g *golden) wrong(format string, args ...any) {
	g.t.Helper()
	g.differed = true
	if !g.differs {
		g.t.Errorf(format, args...)
	}
}

func (g *golden) replay(lines []string) {
	for i := 0; i < len(lines) && !g.differed; i++ {
		verb, rest, _ := strings.Cut(lines[i], " ")
		var outcome []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
			i++
			outcome = append(outcome, strings.TrimSpace(lines[i]))
		}
		switch verb {
		case "conn":
			g.connect(strings.TrimPrefix(rest, "A "))
		case "send":
			g.send(rest)
		case "raw":
			b, _ := hex.DecodeString(strings.TrimPrefix(rest, "A "))
			g.out <- b
		case "wait":
			d, err := time.ParseDuration(rest)
			if err != nil {
				g.t.Fatal(err)
			}
			time.Sleep(d)
		case "scram":
			g.scram(strings.Fields(strings.TrimPrefix(rest, "A ")), outcome)
		case "recv":
			g.receive(strings.Contains(rest, "raw"), outcome)
		case "about", "", "auth":
		default:
			g.t.Fatalf("what is %q?", lines[i])
		}
	}
}

func (g *golden) connect(listener string) {
	o := withUsers()
	o.listener = config.Listener{Name: listener, Protocol: "SASL_PLAINTEXT", Mechanisms: sasl.Mechanisms}
	if listener == "REAUTH" {
		o.listener.Reauth = 2500 * time.Millisecond
	}
	g.server = run(g.t, metadata, o)
	g.p, g.out = g.server.dial(), make(chan []byte, 10)
	go func() {
		for b := range g.out {
			g.p.Write(b) //nolint:errcheck // it shows when the answer is read
		}
	}()
}

// metadata answers as Kafka did in the cases, and ApiVersions with what it says of itself.
func metadata(_ *api.Session, q api.Request) (api.Finish, error) {
	switch {
	case q.Key == 3:
		return answering([]byte("metadata")), nil
	case q.Version > 4:
		return answering([]byte{0, 35}), nil
	}
	return answering([]byte{0, 0, 0, 0, 0, 75}), nil
}

func (g *golden) send(rest string) {
	fields := strings.Fields(rest)
	b, err := hex.DecodeString(strings.Trim(fields[len(fields)-1], `"`))
	if err != nil {
		g.t.Fatal(err)
	}
	g.out <- framed(b)
}

// receive wants what came. Of what the API answers, only that it does counts.
func (g *golden) receive(raw bool, outcome []string) {
	g.p.SetReadDeadline(time.Now().Add(3 * time.Second))
	b, err := g.p.frame()
	kind, value, _ := strings.Cut(outcome[0], " ")
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if outcome[0] != "no answer, open" {
			g.wrong("nothing comes, want %v", outcome)
		}
	case err != nil:
		if kind != "closed" {
			g.wrong("closed, want %v", outcome)
		}
	case kind == "token" && raw:
		if want, _ := hex.DecodeString(value); !bytes.Equal(b, want) {
			g.wrong("token %x, want %s", b, value)
		}
	case kind == "<":
		want, _ := hex.DecodeString(value)
		whole := len(want) - 4
		switch {
		case bytes.Equal(b[4:], []byte("metadata")) && strings.Contains(outcome[1], `"Port":909`):
			whole = 0
		case strings.Contains(outcome[1], "ApiKeys") && !strings.Contains(outcome[1], "ILLEGAL"):
			whole = 2
		}
		if len(b) < 4+whole || !bytes.Equal(b[:4+whole], want[:4+whole]) || whole > 2 && len(b) != len(want) {
			g.wrong("%x, want %s", b, value)
		}
	default:
		g.wrong("%x, want %v", b, outcome)
	}
}

const clientNonce = "fyko-golden-nonce" // of every exchange of the cases

// scram is an exchange: v0|v1, the mechanism, the user, the password, changes.
func (g *golden) scram(args, want []string) {
	version, mechanism, user, secret := args[0], args[1], args[2], args[3]
	change := make(map[string]string)
	for _, a := range args[4:] {
		key, value, _ := strings.Cut(a, "=")
		change[key] = value
	}
	m := cluster.ScramSHA256
	if mechanism == "SCRAM-SHA-512" {
		m = cluster.ScramSHA512
	}
	gs2 := "n,,"
	if s, ok := change["gs2"]; ok {
		gs2 = s
	}
	bare := "n=" + user + ",r=" + clientNonce + change["ext"]

	v, _ := strconv.Atoi(version[1:])
	g.p.send(handshake(int16(v), 1, mechanism))
	g.p.answered(1)
	got := []string{"-> " + gs2 + bare}
	first, told := g.token(v, gs2+bare)
	got = append(got, told)
	if first != "" {
		fields := strings.Split(first, ",")
		salt, _ := base64.StdEncoding.DecodeString(fields[1][2:])
		iterations, _ := strconv.Atoi(fields[2][2:])
		binding := base64.StdEncoding.EncodeToString([]byte(gs2))
		if cb, ok := change["cb"]; ok {
			binding = cb
		}
		without := "c=" + binding + "," + fields[0] + change["finalnonce"]
		salted, err := sasl.Salt(m, secret, salt, iterations)
		if err != nil {
			g.t.Fatal(err)
		}
		signed := proof(m, salted, bare+","+first+","+without)
		if change["proof"] == "short" {
			signed = signed[:3]
		}
		got = append(got, "-> "+strings.Replace(without, fields[0][2+len(clientNonce):], "{snonce}", 1)+",p={proof}")
		_, told := g.token(v, without+",p="+base64.StdEncoding.EncodeToString(signed))
		got = append(got, told)
	}
	if strings.HasPrefix(got[len(got)-1], "<- error") {
		got = append(got, g.end())
	}
	want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
	for i, line := range want {
		want[i] = strings.Replace(line, "i=4096", "i={n}", 1)
	}
	if !slices.Equal(got, want) {
		g.wrong("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (g *golden) end() string {
	if _, err := g.p.frame(); errors.Is(err, io.EOF) {
		return "closed"
	}
	return "open"
}

// token sends a SCRAM message and says what came, as the cases write it. An
// answer is empty if the exchange is over.
func (g *golden) token(version int, message string) (answer, told string) {
	if version == 0 {
		g.p.send(framed([]byte(message)))
	} else {
		g.p.send(token(1, 2, message))
	}
	b, err := g.p.frame()
	if err != nil {
		return "", "closed"
	}
	if version == 1 {
		code, text := int16(binary.BigEndian.Uint16(b[4:])), ""
		b = b[6:]
		if n := int16(binary.BigEndian.Uint16(b)); n > 0 {
			text = string(b[2 : 2+n])
			b = b[n:]
		}
		if code != 0 {
			return "", fmt.Sprintf("<- error %d SASL_AUTHENTICATION_FAILED, message %q", code, text)
		}
		b = b[6 : 6+binary.BigEndian.Uint32(b[2:])]
	}
	answer = string(b)
	if strings.HasPrefix(answer, "v=") {
		return "", "<- v={signature}"
	}
	fields := strings.Split(answer, ",")
	return answer, fmt.Sprintf("<- %s{snonce},s={salt},i={n}", fields[0][:len("r="+clientNonce)])
}

// proof is what a client that knows the password computes.
func proof(m cluster.Mechanism, salted []byte, message string) []byte {
	h := sha256.New
	if m == cluster.ScramSHA512 {
		h = sha512.New
	}
	sign := func(key []byte, text string) []byte {
		mac := hmac.New(h, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	key := sign(salted, "Client Key")
	signature := sign(sasl.VerifierOf(m, salted, nil, 0).StoredKey, message)
	subtle.XORBytes(key, key, signature)
	return key
}
