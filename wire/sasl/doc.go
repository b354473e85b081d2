// Package sasl signs clients in: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, the
// server's side, for the same user and password at once.
//
// Its nouns: an Exchange is one attempt, token by token; a Checker knows the
// users and keeps what makes PLAIN cheap and guessing dear.
//
// What holds always: only salted verifiers are kept, never a password; secrets
// are compared in constant time; a user who is not there costs and looks like a
// wrong password. There is no SASLprep, as in Kafka.
package sasl
