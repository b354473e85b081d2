package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"milena/shard/fact"
	"milena/storage/disk"
	"milena/storage/journal"
	"milena/storage/journal/file"
)

// logs is as many as an instance has shards.
const logs = 64

// alone is the journal with nothing around it but what a log needs: its places
// and tokens.
type alone struct {
	journal journal.Journal
	logs    [logs]chain
	stop    context.CancelFunc
	saved   sync.WaitGroup
}

// chain is a log's end.
type chain struct {
	mu      sync.Mutex
	place   uint64
	token   journal.Token
	durable journal.Snapshot
}

func openAlone(dir string) (*alone, error) {
	fs, err := disk.OS(dir)
	if err != nil {
		return nil, err
	}
	j, err := file.Open(fs, "journal", file.Options{Logs: logs})
	if err != nil {
		return nil, err
	}
	a := &alone{journal: j}
	for i := range a.logs {
		a.logs[i].durable.Log = uint16(i)
	}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	a.saved.Go(func() { a.save(ctx) })
	return a, nil
}

func (a *alone) close() {
	a.stop()
	a.saved.Wait()
	if err := a.journal.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
	}
}

// save gives up what is durable whenever the journal wants it.
func (a *alone) save(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.journal.Wants():
		}
		snapshots := make([]journal.Snapshot, logs)
		for i := range a.logs {
			l := &a.logs[i]
			l.mu.Lock()
			snapshots[i] = l.durable
			l.mu.Unlock()
		}
		if err := a.journal.Save(ctx, snapshots); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "floor: save:", err)
		}
	}
}

// put appends a batch's entry, of the form that a partition's entries have.
func (a *alone) put(p *partition, batch []byte, records int64, done func(int64, error)) {
	l := &a.logs[p.number%logs]
	token := journal.Token(rand.Uint64() | 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	base := p.next // its log's lock guards it
	p.next += records
	binary.BigEndian.PutUint64(batch, uint64(base))
	head := fact.AppendData(nil, fact.Data{Partition: int32(p.number), Base: base, Next: p.next})
	e := journal.Entry{Log: uint16(p.number % logs), Place: l.place + 1, Prev: l.token, Token: token, Body: [][]byte{head, batch}}
	l.place, l.token = e.Place, token
	a.journal.Append([]journal.Entry{e}, func(o []journal.Outcome) {
		if o[0] != journal.OK {
			done(base, fmt.Errorf("journal: %v", o[0]))
			return
		}
		l.mu.Lock()
		l.durable.Place, l.durable.Token, l.durable.Keep = e.Place, token, e.Place
		l.mu.Unlock()
		done(base, nil)
	})
}
