// Package raw is the least that speaks to a Kafka broker: a connection with
// frames out and frames in, batches and requests that are encoded beforehand,
// and the few requests that a measurement needs around it.
//
// It will never be a client for anything else: no retries, one broker, no TLS.
package raw
