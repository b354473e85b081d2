package sasl

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"milena/machine/cluster"
)

// Iterations of PBKDF2.
const (
	IterationsDefault = 8192
	IterationsMin     = 4096
	IterationsMax     = 16384
	saltBytes         = 20
)

func hashOf(m cluster.Mechanism) func() hash.Hash {
	if m == cluster.ScramSHA512 {
		return sha512.New
	}
	return sha256.New
}

// NewVerifier makes what is kept of a password, with a salt of its own.
func NewVerifier(m cluster.Mechanism, password string, iterations int) (cluster.Verifier, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	salted, err := Salt(m, password, salt, iterations)
	if err != nil {
		return cluster.Verifier{}, err
	}
	return VerifierOf(m, salted, salt, iterations), nil
}

// Salt is SCRAM's SaltedPassword.
func Salt(m cluster.Mechanism, password string, salt []byte, iterations int) ([]byte, error) {
	h := hashOf(m)
	return pbkdf2.Key(h, password, salt, iterations, h().Size())
}

// VerifierOf makes the verifier of a salted password.
func VerifierOf(m cluster.Mechanism, salted, salt []byte, iterations int) cluster.Verifier {
	return cluster.Verifier{
		Iterations: int32(iterations),
		Salt:       salt,
		StoredKey:  sum(m, mac(m, salted, "Client Key")),
		ServerKey:  mac(m, salted, "Server Key"),
	}
}

func mac(m cluster.Mechanism, key []byte, text string) []byte {
	h := hmac.New(hashOf(m), key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sum(m cluster.Mechanism, b []byte) []byte {
	h := hashOf(m)()
	h.Write(b)
	return h.Sum(nil)
}
