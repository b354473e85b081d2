//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ledger remembers what was acknowledged, by partition and offset.
type ledger struct {
	mu    sync.Mutex
	acked map[int32]map[int64]uint32 // CRC of the value
	count int
}

func (l *ledger) note(r *kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acked[r.Partition] == nil {
		l.acked[r.Partition] = make(map[int64]uint32)
	}
	l.acked[r.Partition][r.Offset] = crc32.ChecksumIEEE(r.Value)
	l.count++
}

const crashTopic = "crash"

// load produces until it is stopped; what fails is not noted.
func (l *ledger) load(ctx context.Context, address string, seed uint64) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(crashTopic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(2*time.Second), kgo.MaxBufferedRecords(500))
	if err != nil {
		return err
	}
	defer c.Close()
	random := rand.New(rand.NewPCG(seed, 1))
	for i := 0; ctx.Err() == nil; i++ {
		value := make([]byte, 20+random.IntN(3000))
		copy(value, fmt.Sprintf("%d-%d-", seed, i))
		c.Produce(ctx, &kgo.Record{Value: value}, func(r *kgo.Record, err error) {
			if err == nil {
				l.note(r)
			}
		})
	}
	return nil
}

// check reads everything: each acknowledged record is there, as it was, and
// offsets are dense.
func (l *ledger) check(t *testing.T, address string, partitions int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(crashTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // many cycles make gigabytes
	defer cancel()
	next := make(map[int32]int64)
	missing := l.count
	for missing > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d acknowledged records were not found: %v", missing, err)
		}
		for _, r := range fetches.Records() {
			if r.Offset != next[r.Partition] {
				t.Fatalf("partition %d: offset %d behind %d", r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition]++
			if want, ok := l.acked[r.Partition][r.Offset]; ok {
				if got := crc32.ChecksumIEEE(r.Value); got != want {
					t.Fatalf("partition %d offset %d: another value than was acknowledged", r.Partition, r.Offset)
				}
				missing--
			}
		}
	}
}

func TestKillUnderLoadLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	port := freePort(t)
	i := start(t, dir, "-c", "listeners=PLAINTEXT://127.0.0.1:"+port, "-c", "num.partitions=4")
	l := &ledger{acked: make(map[int32]map[int64]uint32)}
	random := rand.New(rand.NewPCG(1, 2))
	for cycle := range cycles(20) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.load(ctx, "127.0.0.1:"+port, uint64(cycle)) }()
		time.Sleep(time.Duration(150+random.IntN(300)) * time.Millisecond) // under load; the moment is what varies
		i.kill()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		i.run()
		if looks := max(5, cycles(20)/10); cycle%looks == looks-1 { // it reads everything: not more often, the more there is
			l.check(t, "127.0.0.1:"+port, 4)
		}
	}
	l.check(t, "127.0.0.1:"+port, 4)
	t.Logf("%d acknowledged records are there", l.count)
	if l.count < 1000 {
		t.Errorf("only %d records were acknowledged: that proves little", l.count)
	}
	i.stop()
}

// A power cut: the file system under the data is shut down without writing its
// log, as if the machine had lost power, then mounted again.
func TestPowerCutUnderLoadLosesNothing(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("PARTIAL") != "" && os.Getenv("CI") == "" {
			t.Skip("left out: mounting a file system needs root")
		}
		t.Fatal("mounting a file system needs root")
	}
	base := t.TempDir()
	image, mount := filepath.Join(base, "disk.img"), filepath.Join(base, "mnt")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "", "truncate", "-s", "16G", image) // it takes what is written, no more
	must(t, "", tool(t, "mkfs.ext4"), "-q", "-F", image)
	must(t, "", "mount", "-o", "loop", image, mount)
	mounted := true
	defer func() {
		if mounted {
			command(t, "", "umount", "-l", mount) //nolint:errcheck // the test is over
		}
	}()
	port := freePort(t)
	dir := filepath.Join(mount, "data")
	i := start(t, dir, "-c", "listeners=PLAINTEXT://127.0.0.1:"+port, "-c", "num.partitions=4", "-c", "disk.reserve.bytes=67108864")
	l := &ledger{acked: make(map[int32]map[int64]uint32)}
	random := rand.New(rand.NewPCG(3, 4))
	for cycle := range cycles(20) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.load(ctx, "127.0.0.1:"+port, uint64(1000+cycle)) }()
		time.Sleep(time.Duration(150+random.IntN(300)) * time.Millisecond) // under load; the moment is what varies
		if err := cutPower(mount); err != nil {
			t.Fatal(err)
		}
		i.cmd.Process.Kill()
		err := <-i.gone
		i.gone <- err
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		unmount(t, mount)
		mounted = false
		must(t, "", "mount", "-o", "loop", image, mount)
		mounted = true
		os.Remove(filepath.Join(dir, "addresses"))
		i.run()
		if looks := max(5, cycles(20)/10); cycle%looks == looks-1 { // it reads everything: not more often, the more there is
			l.check(t, "127.0.0.1:"+port, 4)
		}
	}
	l.check(t, "127.0.0.1:"+port, 4)
	t.Logf("%d acknowledged records are there", l.count)
	if l.count < 1000 {
		t.Errorf("only %d records were acknowledged: that proves little", l.count)
	}
	i.stop()
	unmount(t, mount)
	mounted = false
}

func unmount(t *testing.T, mount string) {
	t.Helper()
	var out []byte
	var err error
	for range 100 {
		if out, err = exec.Command("umount", mount).CombinedOutput(); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("umount: %v %s", err, out)
}

// The power cut must be able to catch a loss: with durability=os, which
// acknowledges from the page cache, some acknowledged record is gone.
func TestThePowerCutCatchesAnAcknowledgementFromTheCache(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("PARTIAL") != "" && os.Getenv("CI") == "" {
			t.Skip("left out: mounting a file system needs root")
		}
		t.Fatal("mounting a file system needs root")
	}
	base := t.TempDir()
	image, mount := filepath.Join(base, "disk.img"), filepath.Join(base, "mnt")
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "", "truncate", "-s", "2G", image)
	must(t, "", tool(t, "mkfs.ext4"), "-q", "-F", image)
	must(t, "", "mount", "-o", "loop", image, mount)
	defer command(t, "", "umount", "-l", mount) //nolint:errcheck // the test is over
	port := freePort(t)
	i := start(t, filepath.Join(mount, "data"), "-c", "listeners=PLAINTEXT://127.0.0.1:"+port, "-c", "durability=os", "-c", "disk.reserve.bytes=67108864")
	l := &ledger{acked: make(map[int32]map[int64]uint32)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.load(ctx, "127.0.0.1:"+port, 7) }()
	i.eventually("1,000 acknowledged records", 20*time.Second, func(context.Context) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.count >= 1000
	})
	if err := cutPower(mount); err != nil {
		t.Fatal(err)
	}
	i.cmd.Process.Kill()
	err := <-i.gone
	i.gone <- err
	cancel()
	<-ended
	unmount(t, mount)
	must(t, "", "mount", "-o", "loop", image, mount)
	os.Remove(filepath.Join(i.dir, "addresses"))
	cmd := exec.Command(binary, "start", "--data", i.dir, "-c", "admin.listener=127.0.0.1:0", "-c", "listeners=PLAINTEXT://127.0.0.1:"+port)
	cmd.Stdout, cmd.Stderr = i.log, i.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	c, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:"+port), kgo.ConsumeTopics(crashTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	found := 0
	reading, stop := context.WithTimeout(context.Background(), 4*time.Second)
	defer stop()
	for reading.Err() == nil {
		fetches := c.PollFetches(reading)
		if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "UNKNOWN_TOPIC") {
			break
		}
		for _, r := range fetches.Records() {
			if _, ok := l.acked[r.Partition][r.Offset]; ok {
				found++
			}
		}
	}
	if found >= l.count {
		t.Errorf("all %d records that were acknowledged from the cache survived a power cut: the test can't see a loss", l.count)
	}
	t.Logf("%d of %d acknowledged records survived, as durability=os warns", found, l.count)
}
