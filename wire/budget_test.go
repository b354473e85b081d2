package wire

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milena/api"
)

func TestALargeFrameGetsItsTurnAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := newBudget(100<<10, 20<<10)
		var all sync.WaitGroup
		for range 8 { // never all quiet at once
			all.Go(func() {
				for ctx.Err() == nil {
					if c, ok := b.take(ctx, 30<<10); ok {
						time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
						b.give(c)
					}
				}
			})
		}
		time.Sleep(time.Second)
		for _, n := range []int{90 << 10, 100 << 10, 500 << 10} { // the last is more than there ever is
			began := time.Now()
			c, ok := b.take(ctx, n)
			if !ok || time.Since(began) > time.Second {
				t.Errorf("%d bytes came after %v, %t", n, time.Since(began), ok)
			}
			b.give(c)
		}
		cancel()
		all.Wait()
		if b.left != b.size || b.reserve != 20<<10 || len(b.large)+len(b.small) > 0 {
			t.Errorf("%d of %d bytes, %d of the reserve, %d wait", b.left, b.size, b.reserve, len(b.large)+len(b.small))
		}
	})
}

func TestSmallFramesPassWhileLargeOnesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100<<10, 20<<10)
		held, _ := b.take(t.Context(), 100<<10)
		large := make(chan claim)
		go func() { c, _ := b.take(t.Context(), 50<<10); large <- c }()
		synctest.Wait()
		heartbeat, ok := b.take(t.Context(), 200)
		if !ok {
			t.Fatal("a heartbeat waits")
		}
		b.give(heartbeat)
		var kept []claim
		for range 20 { // until the reserve is used up
			c, _ := b.take(t.Context(), 1<<10)
			kept = append(kept, c)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, ok := b.take(ctx, 1<<10); ok {
			t.Error("more is given than there is")
		}
		b.give(held)
		b.give(<-large)
		for _, c := range kept {
			b.give(c)
		}
		if b.left != b.size || b.reserve != 20<<10 || len(b.large)+len(b.small) > 0 {
			t.Errorf("%d of %d bytes, %d of the reserve, %d wait", b.left, b.size, b.reserve, len(b.large)+len(b.small))
		}
	})
}

// A claim that is given up lets in who stood behind it.
func TestWhoGivesUpHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100<<10, 0)
		held, _ := b.take(t.Context(), 60<<10)
		ctx, giveUp := context.WithCancel(t.Context())
		go b.take(ctx, 80<<10)
		synctest.Wait()
		behind := make(chan claim)
		go func() { c, _ := b.take(t.Context(), 30<<10); behind <- c }()
		synctest.Wait()
		giveUp()
		b.give(<-behind)
		b.give(held)
		if b.left != b.size {
			t.Errorf("%d of %d bytes are left", b.left, b.size)
		}
	})
}

func TestABudgetNeitherLosesNorGivesTooMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, reserve = 1 << 20, 64 << 10
		b := newBudget(size, reserve)
		var mu sync.Mutex
		used, most := 0, 0
		var all sync.WaitGroup
		for i := range 50 {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			all.Go(func() {
				for range 100 {
					n := r.IntN(2 * smallFrame)
					if r.IntN(4) == 0 {
						n = r.IntN(size)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(50))*time.Millisecond)
					if c, ok := b.take(ctx, n); ok {
						mu.Lock()
						used += n
						most = max(most, used)
						mu.Unlock()
						time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
						mu.Lock()
						used -= n
						mu.Unlock()
						b.give(c)
					}
					cancel()
				}
			})
		}
		all.Wait()
		if most > size+reserve || most < size/2 {
			t.Errorf("at most %d bytes were under way, of %d", most, size+reserve)
		}
		if b.left != size || b.reserve != reserve || len(b.large)+len(b.small) > 0 {
			t.Errorf("%d of %d bytes, %d of the reserve, %d wait", b.left, b.size, b.reserve, len(b.large)+len(b.small))
		}
	})
}

// sleepy answers after a time.
func sleepy(d time.Duration) api.Finish {
	return func(ctx context.Context) api.Answer {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
		return api.Answer{}
	}
}

// Readers are held back by what is under way, and go on when it is done.
func TestReadersWaitForBytesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 10 * time.Second
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) { return sleepy(takes), nil }, options{budget: 2 << 20})
		const clients, size = 10, 480 << 10 // four at once are in the budget
		began := time.Now()
		var all sync.WaitGroup
		for range clients {
			p := r.dial()
			p.sendLater(plain(1, size))
			all.Go(func() {
				if _, err := p.frame(); err != nil {
					t.Errorf("no answer: %v", err)
				}
			})
		}
		small := r.dial()
		time.Sleep(time.Second)
		small.send(plain(2, 0))
		small.answered(2)
		if took := time.Since(began); took != takes+time.Second {
			t.Errorf("a small request took %v among large ones, want no longer than itself", took)
		}
		all.Wait()
		if took := time.Since(began); took != 3*takes {
			t.Errorf("10 requests took %v, want three rounds of %v", took, takes)
		}
		r.stop()
		r.noLines()
		r.given()
	})
}

// One connection that reads no answers does not use up what all share.
func TestASlowReaderHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, options{})
		slow, other := r.dial(), r.dial()
		began := time.Now()
		go func() {
			whole := plain(1, 5<<20)
			for {
				if _, err := slow.Write(whole); err != nil {
					return
				}
			}
		}()
		time.Sleep(time.Second)
		for i := range 3 {
			other.sendLater(plain(int32(i), 5<<20))
			other.answered(int32(i))
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the others wait %v", took-time.Second)
		}
		for r.Stats().Listeners[0].Connections > 1 {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 2*writeTime {
			t.Errorf("the slow reader is waited for %v", took)
		}
		r.oneLine("connection closed", "it took less than")
		r.stop()
		r.given()
	})
}

// An answer of any size has its time, as long as some of it is taken.
func TestALargeAnswerMayBeTakenSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 * sendWindow
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) { return answering(make([]byte, size)), nil }, options{})
		defer r.stop()
		p := r.dial()
		p.send(plain(1, 0))
		left := 4 + 4 + size
		for buf := make([]byte, sendWindow/2); left > 0; {
			n, err := p.Read(buf)
			if err != nil {
				t.Fatalf("%d bytes before the end: %v", left, err)
			}
			left -= n
			time.Sleep(writeTime / 3)
		}
	})
}

// Whoever has not signed in can't use up what those have who did.
func TestStrangersDoNotUseUpTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, echo, withUsers())
		var strangers []*peer
		for i := range 2000 { // 125 MiB are promised, and nothing comes
			p := r.dial()
			p.send(length([]int32{loginFrameMax, 1000}[i%2]))
			strangers = append(strangers, p)
		}
		synctest.Wait()
		if r.budget.left != r.budget.size || r.budget.reserve != reserveBytes {
			t.Errorf("strangers hold %d bytes of what all share", r.budget.size-r.budget.left+reserveBytes-r.budget.reserve)
		}
		began := time.Now()
		alice := r.dial()
		alice.signIn()
		alice.sendLater(plain(3, 5<<20))
		alice.answered(3)
		if took := time.Since(began); took > 0 {
			t.Errorf("alice waits %v", took)
		}
		for _, p := range strangers {
			p.Close()
		}
		r.stop()
		r.given()
	})
}
