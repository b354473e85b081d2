// Package server builds an instance from its configuration, starts it in order
// and stops it in order.
//
// Its nouns: Options say what to run, a Server is an instance that runs, the
// instance file says what a data directory holds, the card is what a person
// reads when it has started.
//
// What holds always: engines.go is the one place that picks engines, clock.go
// the one place where time enters; what is started here is stopped here, in
// the opposite order, and waited for.
//
// It never decides anything of Kafka's.
package server
