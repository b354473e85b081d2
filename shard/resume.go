package shard

import "milena/storage/journal"

// Resume takes up a log that the journal's damage had put out of service and
// that was given up since: its state stays what it is, and its next entry stands
// behind this one, which stands for what is lost.
func (s *Set) Resume(lost journal.Entry) {
	l := s.logs[lost.Log]
	l.Lock()
	defer l.Unlock()
	l.broken = nil
	l.place, l.token = lost.Place, lost.Token
	l.durable, l.applied = lost.Place, lost.Token
}
