// Command milena is the instance and everything a person types at it.
//
// One file a verb: start and init run an instance; connect says what a client
// needs; produce, consume, topic, user, group and doctor are Kafka clients and
// work against any broker. connection.go is how they find one and sign in,
// property.go the Kafka client properties that -X and --config take, fail.go
// how an error becomes words and an exit code, print.go tables and JSON.
//
// What holds always: data goes to standard output, talk to standard error;
// colour and progress are for terminals only; a secret is never an argument;
// an error says what failed, why probably, and what to type next.
//
// It never reaches into an instance: all but start, init and connect speak
// Kafka's protocol, and those two start and read a data directory.
package main
