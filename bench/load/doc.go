// Command load is a load generator. It speaks the wire protocol and nothing
// else: frames are encoded beforehand, so that its own work hides as little of
// the broker's as possible. It runs against any Kafka broker by address, and
// tells what the broker's process and its own spent for the work that was
// acknowledged.
//
//	load produce -size 1024 -frame 1000000 -conns 1 -inflight 5
//	load produce -size 1024 -frame 1000000 -partitions 100 -batch 10
//	load rtt -conns 100 -inflight 5 -partitions 100      one record a request
//	load rtt -conns 10 -partitions 10 -rate 5000          open loop
//	load fetch -partitions 8 -max-bytes 1048576
//	load kgo, load kgo-fetch                              a real client: franz-go
//	load idle -conns 5000
//	load create -partitions 10000
//
// In an open loop a request's time counts from when it was due, not from when it
// was sent; it is sent when the one before is answered if there is one under way
// at a time.
package main
