package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"milena/api"
)

// segmentFile is a file as a segment gives it; without a descriptor it is copied.
type segmentFile struct {
	*os.File
	copied bool
}

func (f segmentFile) Descriptor() (uintptr, bool) { return f.Fd(), !f.copied }

// An answer in pieces of all sizes, from memory and from a file, comes whole
// and in order, by every way that there is to send it.
func TestAnAnswerInPartsComesWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 5<<20)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	for way, tt := range map[string]struct{ copied, tls bool }{"sendfile": {}, "copied": {copied: true}, "TLS": {tls: true}} {
		t.Run(way, func(t *testing.T) {
			var parts []api.Part
			var want []byte
			for _, size := range []int{1, 0, smallPiece, smallPiece + 1, 100, copyBuffer, sendWindow + 7, 3 << 20, 5} {
				at := r.IntN(1 << 20)
				parts = append(parts, api.Part{Bytes: content[at : at+size]}, api.Part{File: segmentFile{file, tt.copied}, At: int64(at + 1), Length: size})
				want = append(append(want, content[at:at+size]...), content[at+1:at+1+size]...)
			}
			released := make(chan struct{}, 10)
			o := options{tcp: true}
			var roots *tls.Config
			if tt.tls {
				server, pool := certified(t, "localhost")
				o.tls, roots = server, &tls.Config{ServerName: "localhost", RootCAs: pool}
			}
			s := run(t, func(*api.Session, api.Request) (api.Finish, error) {
				return func(context.Context) api.Answer {
					return api.Answer{Parts: parts, Release: func() { released <- struct{}{} }}
				}, nil
			}, o)
			defer s.stop()
			p := s.dial()
			if tt.tls {
				p = &peer{tls.Client(p.Conn, roots), t}
			}
			defer p.Close()
			const n = 3
			for i := range int32(n) {
				p.send(plain(i, 0))
			}
			for i := range int32(n) {
				if got := p.answered(i); !bytes.Equal(got, want) {
					t.Fatalf("answer %d: %d bytes, want %d; the first that differs is %d", i, len(got), len(want), differs(got, want))
				}
			}
			for range n {
				<-released
			}
			if sent := s.Stats().Listeners[0].Sent; sent != n*uint64(8+len(want)) {
				t.Errorf("%d bytes are counted, want %d", sent, n*(8+len(want)))
			}
		})
	}
}

func differs(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// A file that is shorter than it should be ends the connection: the length has
// been told already.
func TestAFileThatIsTooShortEndsTheConnection(t *testing.T) {
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, copied := range []bool{false, true} {
		released := make(chan struct{}, 1)
		r := run(t, func(*api.Session, api.Request) (api.Finish, error) {
			return func(context.Context) api.Answer {
				return api.Answer{Parts: []api.Part{{File: segmentFile{file, copied}, Length: 2000}}, Release: func() { released <- struct{}{} }}
			}, nil
		}, options{tcp: true})
		p := r.dial()
		p.SetReadDeadline(time.Now().Add(10 * time.Second))
		p.send(plain(1, 0))
		if _, err := p.frame(); err == nil {
			t.Error("a whole answer comes of half a file")
		}
		<-released
		waitFor(t, "its line", func() bool { return len(r.log.lines()) > 0 })
		r.oneLine("connection closed", errShortFile.Error())
		r.stop()
	}
}
