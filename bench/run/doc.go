// Command run measures brokers beside each other on this machine: it starts
// them, warms them up, and runs each load against all of them in turn, round by
// round, so that what is compared are neighbours in time.
//
//	go run ./bench/run                                 all loads, 3 rounds of 60 s
//	go run ./bench/run -loads produce-1k-1p,rtt-1
//	go run ./bench/run -short                          does it work: seconds a load
//	go run ./bench/run -vs OTHER-BINARY                two builds of Milena, and one of them twice
//	go run ./bench/run -once all                       start, memory, 10,000 partitions, recovery
//	go run ./bench/run -table bench/results/FILE       the tables of an earlier run
//
// The brokers: milena, kafka (Apache Kafka 4.3.1), kafka-flush (the same, synced
// before it acknowledges), floor (receive, check, write) and journal (the floor
// with our journal). Each result is a line of JSON in a file; the tables are
// Markdown.
package main
