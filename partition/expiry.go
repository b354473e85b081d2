package partition

// expireProducers forgets idempotent producers that wrote nothing for
// producer.id.expiration.ms. It needs no entry: who replays the log only
// remembers more, and forgets it at the next look.
func (t *Table) expireProducers() {
	if t.o.ProducerExpiry <= 0 {
		return
	}
	before := t.o.Now().Add(-t.o.ProducerExpiry).UnixMilli()
	for _, p := range t.all() {
		p.shard.lock()
		p.expireProducers(before)
		p.shard.unlock()
	}
}

// expireProducers forgets who wrote nothing since a time and has nothing under
// way. Under the log's lock.
func (p *part) expireProducers(before int64) {
	for id := range p.ahead.producers {
		if w, ok := p.producers[id]; ok {
			w.Time = max(w.Time, before)
			p.producers[id] = w
		}
	}
	if p.producers.Expire(before); len(p.producers) == 0 {
		p.producers = nil
	}
}
