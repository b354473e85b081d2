package server

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milena/wire"
)

// metrics gathers what the rooms tell of themselves.
type metrics struct{ server *Server }

// Describe sends nothing: which metrics there are shows when they are gathered.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect is part of prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	s := m.server
	stats, table := s.wire.Stats(), s.table.Stats()
	journal, segments, logs := s.engines.journal.Stats(), s.engines.store.Stats(), s.set.Stats()
	running := 0.0
	if logs.Checkpointing {
		running = 1
	}
	send(out, nil, nil, []figure{
		{"milena_handler_panics_total", "Panics that cost a connection.", prometheus.CounterValue, float64(stats.Panics)},
		{"milena_topics", "Topics.", prometheus.GaugeValue, float64(len(s.cluster.Topics()))},
		{"milena_partitions_live", "Partitions that were used since the start.", prometheus.GaugeValue, float64(table.Partitions)},
		{"milena_produced_batches_total", "Record batches that became durable.", prometheus.CounterValue, float64(table.Batches)},
		{"milena_produced_records_total", "Records that became durable.", prometheus.CounterValue, float64(table.Records)},
		{"milena_produced_bytes_total", "Bytes of record batches that became durable.", prometheus.CounterValue, float64(table.Bytes)},
		{"milena_unsettled_bytes", "Bytes that are in the journal and not in segments yet.", prometheus.GaugeValue, float64(table.Unsettled)},
		{"milena_journal_entries_total", "Journal entries written.", prometheus.CounterValue, float64(journal.Entries)},
		{"milena_journal_written_bytes_total", "Bytes written to the journal, padding included.", prometheus.CounterValue, float64(journal.WrittenBytes)},
		{"milena_journal_writes_total", "Journal writes.", prometheus.CounterValue, float64(journal.Writes)},
		{"milena_journal_write_seconds_total", "Seconds spent in journal writes.", prometheus.CounterValue, float64(journal.WriteNanos) / 1e9},
		{"milena_journal_live_bytes", "Bytes of journal files that can't be recycled yet.", prometheus.GaugeValue, float64(journal.LiveBytes)},
		{"milena_journal_queued_entries", "Journal entries that wait.", prometheus.GaugeValue, float64(journal.Queued)},
		{"milena_checkpoints_total", "Checkpoints saved since the start.", prometheus.CounterValue, float64(logs.Checkpoints)},
		{"milena_checkpoint_seconds_total", "Seconds spent in them.", prometheus.CounterValue, float64(logs.CheckpointNanos) / 1e9},
		{"milena_checkpoint_running", "1 while a checkpoint runs.", prometheus.GaugeValue, running},
		{"milena_segments", "Segments that are known.", prometheus.GaugeValue, float64(segments.Segments)},
		{"milena_segment_files_open", "Open segment files.", prometheus.GaugeValue, float64(segments.OpenFiles)},
		{"milena_settled_bytes_total", "Bytes settled in segments.", prometheus.CounterValue, float64(segments.SettledBytes)},
		{"milena_segment_syncs_total", "Syncs of segment files.", prometheus.CounterValue, float64(segments.Syncs)},
		{"milena_segment_sync_seconds_total", "Seconds spent in them.", prometheus.CounterValue, float64(segments.SyncNanos) / 1e9},
	})
	collectWire(out, stats)
	expiry := prometheus.NewDesc("milena_certificate_expires_seconds", "When the listener's certificate ends, in seconds since 1970.", []string{"listener"}, nil)
	for name, source := range s.sources {
		out <- prometheus.MustNewConstMetric(expiry, prometheus.GaugeValue, float64(source.Certificate().Leaf.NotAfter.Unix()), name)
	}
}

// figure is one metric's value.
type figure struct {
	name, help string
	kind       prometheus.ValueType
	value      float64
}

// send sends figures that have the same labels.
func send(out chan<- prometheus.Metric, labels, values []string, figures []figure) {
	for _, f := range figures {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(f.name, f.help, labels, nil), f.kind, f.value, values...)
	}
}

// collectWire tells of connections by listener, and of requests by API.
func collectWire(out chan<- prometheus.Metric, stats wire.Stats) {
	for _, l := range stats.Listeners {
		send(out, []string{"listener"}, []string{l.Name}, []figure{
			{"milena_connections", "Connections now.", prometheus.GaugeValue, float64(l.Connections)},
			{"milena_connections_accepted_total", "Connections accepted.", prometheus.CounterValue, float64(l.Accepted)},
			{"milena_connections_turned_away_total", "Connections closed at once, for too many were open.", prometheus.CounterValue, float64(l.TurnedAway)},
			{"milena_connections_failed_total", "Connections closed for something that was wrong.", prometheus.CounterValue, float64(l.Failed)},
			{"milena_sign_ins_refused_total", "Sign-ins refused.", prometheus.CounterValue, float64(l.Refused)},
			{"milena_received_bytes_total", "Bytes of requests.", prometheus.CounterValue, float64(l.Received)},
			{"milena_sent_bytes_total", "Bytes of answers.", prometheus.CounterValue, float64(l.Sent)},
		})
	}
	requests := prometheus.NewDesc("milena_requests_total", "Requests started, by API.", []string{"api"}, nil)
	for key, count := range stats.Requests {
		out <- prometheus.MustNewConstMetric(requests, prometheus.CounterValue, float64(count), kmsg.NameForKey(key))
	}
}
