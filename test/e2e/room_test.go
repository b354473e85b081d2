//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// smallDisk mounts an ext4 of its own.
func smallDisk(t *testing.T, size string) (mount string) {
	t.Helper()
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
	must(t, "", "truncate", "-s", size, image)
	must(t, "", tool(t, "mkfs.ext4"), "-q", "-F", "-m", "0", image)
	must(t, "", "mount", "-o", "loop", image, mount)
	t.Cleanup(func() { command(t, "", "umount", "-l", mount) }) //nolint:errcheck // the test is over
	return mount
}

// ballast fills a file system but for so many bytes.
func ballast(t *testing.T, mount string, but uint64) (file string) {
	t.Helper()
	file = filepath.Join(mount, "ballast")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, 1<<20)
	for {
		left := free(t, mount)
		if left <= but {
			break
		}
		if _, err := f.Write(piece[:min(left-but, 1<<20)]); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return file
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func free(t *testing.T, mount string) uint64 {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(mount, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Bavail * uint64(stat.Bsize)
}

// filler produces one batch after the other to a topic, and remembers what was
// acknowledged.
type filler struct {
	t     *testing.T
	c     *kgo.Client
	topic string
	acked int
}

func (f *filler) produce() error {
	f.t.Helper()
	value := make([]byte, 200<<10)
	copy(value, fmt.Sprintf("%s-%d", f.topic, f.acked))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := f.c.ProduceSync(ctx, &kgo.Record{Topic: f.topic, Value: value}).FirstErr()
	if err == nil {
		f.acked++
	}
	return err
}

// until produces until it is refused (want) or taken (nil). The broker may have
// been started again in between.
func (f *filler) until(want error) {
	f.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := f.produce()
		if errors.Is(err, want) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("after %d records it is still %v, want %v", f.acked, err, want)
		}
	}
}

func (f *filler) check(address string) {
	f.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(f.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for n := 0; n < f.acked; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			f.t.Fatalf("%d of %d acknowledged records of %s were read: %v", n, f.acked, f.topic, err)
		}
		for _, r := range fetches.Records() {
			if want := fmt.Sprintf("%s-%d", f.topic, n); r.Offset != int64(n) || !strings.HasPrefix(string(r.Value), want+"\x00") {
				f.t.Fatalf("%s at %d: %.20q, want %q at %d", f.topic, r.Offset, r.Value, want, n)
			}
			n++
		}
	}
}

// A disk that is filled up while somebody produces: produce is refused with 56
// and one line in the log; fetches, commits and deletes go on; it recovers by
// itself, when others make room and when a topic goes; a restart in between
// loses nothing. In two ways: at the reserve, and with no byte left at all, so
// that what is in the journal can't settle.
func TestAFullDiskRefusesProduceAndRecovers(t *testing.T) {
	for name, step := range map[string]struct {
		args []string
		left uint64
	}{
		"at the reserve":  {left: 8 << 20}, // below 5 % of the disk
		"no byte is left": {args: []string{"-c", "disk.reserve.bytes=0"}},
	} {
		t.Run(name, func(t *testing.T) {
			mount := smallDisk(t, "400M")
			dir := filepath.Join(mount, "data")
			port := freePort(t)
			i := start(t, dir, append([]string{"-c", "listeners=PLAINTEXT://127.0.0.1:" + port}, step.args...)...)
			address := "127.0.0.1:" + port
			c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0),
				kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordRetries(0), kgo.RequestRetries(1), kgo.ProducerBatchMaxBytes(1<<20))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			kept, dropped := &filler{t: t, c: c, topic: "kept"}, &filler{t: t, c: c, topic: "dropped"}
			for range 60 { // the journal has its second file, some has settled
				kept.until(nil)
				dropped.until(nil)
				dropped.until(nil)
			}
			file := ballast(t, mount, step.left)
			kept.until(kerr.KafkaStorageError)
			i.logs("ERROR", "produce is refused until there is room")

			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			kept.check(address)
			admin := kadm.NewClient(c)
			offsets := kadm.Offsets{}
			offsets.AddOffset("kept", 0, 7, -1)
			if err := admin.CommitAllOffsets(ctx, "full", offsets); err != nil {
				t.Errorf("commit on a full disk: %v", err)
			}
			i.stop()
			if step.left == 0 { // this test reads DIR/addresses
				if err := os.Truncate(file, size(t, file)-1<<20); err != nil {
					t.Fatal(err)
				}
			}
			i.run() // a start with a full disk
			kept.check(address)
			kept.until(kerr.KafkaStorageError)
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			kept.until(nil)
			i.logs("INFO", "there is room on the disk again")

			ballast(t, mount, step.left)
			kept.until(kerr.KafkaStorageError)
			if step.left > 0 { // else there is no room for the next start's journal file
				i.kill()
				i.run()
			}
			if _, err := admin.DeleteTopic(ctx, "dropped"); err != nil {
				t.Errorf("delete a topic on a full disk: %v", err)
			}
			kept.until(nil) // the topic's room is free
			kept.check(address)
			got, err := admin.FetchOffsets(ctx, "full")
			if o, ok := got.Lookup("kept", 0); err != nil || !ok || o.At != 7 {
				t.Errorf("the group's offset is %+v, %v, want 7", o, err)
			}
			if n := strings.Count(i.log.String(), "produce is refused until there is room"); n > 2 {
				t.Errorf("%d lines tell that the disk is full, want one each time\n%s", n, i.log)
			}
			i.stop()
			i.run()
			kept.check(address)
			i.stop()
		})
	}
}
