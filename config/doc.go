// Package config is the one table of keys that an instance understands.
//
// A Key is a row: name, type, default, what is allowed, what it does here. The
// table drives parsing, DescribeConfigs and docs/config.md. A Broker is what
// one instance was given: flags before environment before file, each value
// with the place it came from. A Topic is the effective configuration of one
// topic. A Listener is one address to open.
//
// What holds always: names, types and defaults of a topic's keys are Kafka's;
// a value that is in a Broker is valid; a key whose loss would weaken safety
// or security is an error, never a warning; a secret is in no message.
//
// It never opens a socket, never reads a file but the one it is told to, and
// never changes while an instance runs.
package config
