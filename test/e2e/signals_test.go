//go:build e2e

package e2e

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	drainMax = 10 * time.Second // that a stop may take
	hungSize = 900 << 10        // bytes of a record; an answer has many of them
	hungRows = 20
)

// dial opens a connection that speaks by hand.
func (i *instance) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", i.addr["PLAINTEXT"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func frameOf(request kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("hung")).AppendRequest(nil, request, 1)
}

// fetchOf asks for a partition by a version that knows it by name.
func fetchOf(topic string, from int64, wait time.Duration) kmsg.Request {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 4, int32(wait.Milliseconds()), 1, 50<<20
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes = from, 50<<20
	asked := kmsg.NewFetchRequestTopic()
	asked.Topic, asked.Partitions = topic, []kmsg.FetchRequestTopicPartition{part}
	req.Topics = []kmsg.FetchRequestTopic{asked}
	return req
}

func send(t *testing.T, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// fill produces more to a topic than lies between two ends of a connection.
func (i *instance) fill(t *testing.T, topic string) {
	t.Helper()
	c := i.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	for n := range hungRows {
		r := &kgo.Record{Topic: topic, Value: make([]byte, hungSize)}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil || r.Offset != int64(n) {
			t.Fatalf("record %d at %d: %v", n, r.Offset, err)
		}
	}
}

// takesNothing is a client that asks for all of a topic again and again, and
// takes none of it but the first byte.
func (i *instance) takesNothing(t *testing.T, topic string) {
	t.Helper()
	conn := i.dial(t)
	conn.SetReadBuffer(4 << 10) //nolint:errcheck // there is enough to fill any
	for range 3 {
		send(t, conn, frameOf(fetchOf(topic, 0, 0)))
	}
	var first [1]byte
	conn.SetReadDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // the read says it
	if _, err := conn.Read(first[:]); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the process, and gives how long that took.
func (i *instance) ended(t *testing.T) (took time.Duration, err error) {
	t.Helper()
	began := time.Now()
	select {
	case err := <-i.gone:
		i.gone <- err
		return time.Since(began), err
	case <-time.After(time.Minute):
		t.Fatalf("it is still there\n%s", i.log)
		return 0, nil
	}
}

// Whoever hangs at its other end, an instance that is to stop does so in time,
// and cleanly.
func TestAStopIsOverInTimeThoughClientsHang(t *testing.T) {
	clients := map[string]func(*testing.T, *instance){
		"half a frame is sent": func(t *testing.T, i *instance) {
			conn := i.dial(t)
			whole := frameOf(fetchOf("orders", 0, 0))
			send(t, conn, append(whole, whole[:len(whole)/2]...))
			answer := make([]byte, 8)
			conn.SetReadDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // the read says it
			if _, err := conn.Read(answer); err != nil {      // of the whole one: the half is being read now
				t.Fatal(err)
			}
		},
		"a long poll is parked": func(t *testing.T, i *instance) {
			before := i.fetches()
			send(t, i.dial(t), frameOf(fetchOf("orders", hungRows, 4*time.Minute)))
			i.eventually("the poll is there", 30*time.Second, func(context.Context) bool { return i.fetches() > before })
		},
		"an answer is not taken": func(t *testing.T, i *instance) { i.takesNothing(t, "orders") },
		"nothing was ever said":  func(t *testing.T, i *instance) { i.dial(t) },
	}
	for name, hang := range clients {
		t.Run(name, func(t *testing.T) {
			i := plain(t)
			i.fill(t, "orders")
			hang(t, i)
			i.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it shows
			took, err := i.ended(t)
			if err != nil {
				t.Errorf("after SIGTERM: %v, want exit code 0\n%s", err, i.log)
			}
			if took > drainMax {
				t.Errorf("it took %v, want %v at most", took, drainMax)
			}
		})
	}
}

// The first signal drains, and who does not want to wait for that sends another.
func TestASecondSignalEndsItAtOnce(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			i := plain(t)
			i.fill(t, "orders")
			i.takesNothing(t, "orders")  // so that the drain has something to wait for
			i.cmd.Process.Signal(signal) //nolint:errcheck // it shows
			i.logs("stopping")
			repeat := time.NewTicker(20 * time.Millisecond) // the first one is answered to by then, or soon
			defer repeat.Stop()
			began := time.Now()
			for waiting := true; waiting; {
				select {
				case <-repeat.C:
					if err := i.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
						t.Fatal(err)
					}
				case err := <-i.gone:
					i.gone <- err
					waiting = false
				case <-time.After(time.Minute):
					t.Fatalf("it is still there\n%s", i.log)
				}
			}
			_, err := i.ended(t)
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("ended with %v after %v, as if it had drained", err, time.Since(began))
			}
			if status := exit.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != signal {
				t.Errorf("ended with %v, want by %v", err, signal)
			}
			i.run() // what was acknowledged is there
			for n, value := range i.values("orders", hungRows) {
				if len(value) != hungSize {
					t.Errorf("record %d has %d bytes", n, len(value))
				}
			}
			i.stop()
		})
	}
}
