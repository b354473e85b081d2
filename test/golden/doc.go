// Package golden replays what Apache Kafka was asked and compares what Milena
// answers with what Kafka answered.
//
// A case is a few requests, as bytes, and the answers to them; the format is
// told in testdata/README.md. Where we answer otherwise on purpose, the case
// stands in testdata/differences.txt with its reason, and a case that stands
// there for nothing is an error too.
//
// The test runs an instance of its own in this process. With MILENA_GOLDEN set
// to LISTENER=host:port pairs, separated by commas, it asks that broker instead.
//
// It compares answers by their fields, never by when they came, and knows
// nothing of what is behind the listener.
package golden
