// Package coordinator gives machines time, durability and a voice: it runs
// groups and the cluster over their logs.
//
// Its nouns: Groups runs every group, one command of a group after the other;
// Cluster runs topics, users and producer ids, one entry at a time.
//
// What holds always: a command's answer goes out after its facts are durable;
// who only reads (Heartbeat, Describe, Offsets, List) waits for no disk; a
// group that has nothing to do costs no goroutine.
//
// It decides nothing of Kafka's, and knows neither wire nor engine.
package coordinator
