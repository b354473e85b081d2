// Command floor is the least that a broker can do: it receives batches, checks
// their CRC, writes each with one pwrite to its partition's segment file, and
// answers. What it costs is the floor under every broker's costs on a machine.
//
//	floor -listen 127.0.0.1:9092 -data DIR
//	floor -listen 127.0.0.1:9092 -data DIR -journal
//
// With -journal the same program puts each batch into this project's journal
// instead, as an entry of the size that the broker's has, and answers when it is
// durable: the journal alone, behind a socket. Nothing settles; what is durable
// is given up whenever the journal wants a Save. It cannot be read.
//
// It answers what a load generator and a simple client ask: Produce, Fetch from
// files (by sendfile), ListOffsets, Metadata, ApiVersions, CreateTopics and
// DeleteTopics. Topics know retention.bytes and segment.bytes.
//
// It is no broker: nothing is synced without -journal, nothing is read back at a
// start, records are not looked at, and nobody is waited for but by sleeping.
package main
