package server

import (
	"errors"
	"os"
	"strings"
	"testing"

	"milena/storage/disk"
)

// The instance file as it was first written: it must stay readable.
func TestGoldenInstance(t *testing.T) {
	text, err := os.ReadFile("testdata/instance.golden")
	if err != nil {
		t.Fatal(err)
	}
	want := instance{Format: 1, ClusterID: "MkU3OEVBNTcwNTJENDM2Qg", ShardLogs: 64, CoordinatorLogs: 64, Secure: true}
	got, err := parseInstance(text)
	if err != nil || got != want {
		t.Fatalf("read %+v, %v; want %+v", got, err, want)
	}
	if again := string(want.text()); again != string(text) {
		t.Errorf("the format changed:\n%s\nwant\n%s", again, text)
	}
	for n := range len(text) - 1 { // a line's end at the very end may be missing
		if _, err := parseInstance(text[:n]); err == nil {
			t.Errorf("the first %d of %d bytes passed for an instance file:\n%s", n, len(text), text[:n])
		}
	}
	flipped := []byte(string(text))
	for at := range (len(text) - 1) * 8 {
		flipped[at/8] ^= 1 << (at % 8)
		if got, err := parseInstance(flipped); err == nil {
			t.Errorf("a bit of byte %d is turned, and it reads %+v", at/8, got)
		}
		flipped[at/8] ^= 1 << (at % 8)
	}
}

func TestAnInstanceOfANewerFormatIsRefused(t *testing.T) {
	fs := disk.NewMemory()
	newer := instance{Format: instanceFormat + 1, ClusterID: "c", ShardLogs: 64, CoordinatorLogs: 64}
	if err := newer.write(fs); err != nil {
		t.Fatal(err)
	}
	_, err := openInstance(fs, false)
	if !errors.Is(err, errNewerFormat) || !strings.Contains(err.Error(), "format 2, this one knows up to 1; start the newer one") {
		t.Errorf("%v, want %v", err, errNewerFormat)
	}
}

// Whatever a power cut at any file call leaves, the next start has the old
// instance or the new one, whole, and never two cluster ids.
func TestAPowerCutWhileTheInstanceFileIsWritten(t *testing.T) {
	write := func(fs disk.FS) (id string, secure bool) { // what was told
		in, err := openInstance(fs, false)
		if err != nil {
			return "", false
		}
		_, err = openInstance(fs, true) // becomes secure
		return in.ClusterID, err == nil
	}
	count := disk.NewFaulty(disk.NewMemory(), func(disk.Call) error { return nil })
	write(count)
	for at := 1; at <= count.Calls()+1; at++ {
		for seed := range uint64(20) {
			memory := disk.NewMemory()
			var left *disk.Memory
			id, secure := write(disk.NewFaulty(memory, func(c disk.Call) error {
				if c.Number < at {
					return nil
				}
				if left == nil {
					left = memory.Crash(seed)
				}
				return errors.New("the power is gone")
			}))
			if left == nil {
				left = memory.Crash(seed)
			}
			again, err := openInstance(left, false)
			if err != nil {
				t.Fatalf("call %d, seed %d: %v", at, seed, err)
			}
			if id != "" && again.ClusterID != id || secure && !again.Secure {
				t.Fatalf("call %d, seed %d: told cluster id %q, secure %t; found %+v", at, seed, id, secure, again)
			}
		}
	}
}
