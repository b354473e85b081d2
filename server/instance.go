package server

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"milena/storage/disk"
)

// The instance file says what a data directory holds. It is text, a line each:
//
//	milena instance
//	format=1
//	cluster.id=22 characters
//	logs.shard=64
//	logs.coordinator=64
//	secure=true
//	crc=8 hexadecimal digits: CRC-32C of all lines above
//
// It is replaced as a whole: written beside, synced, renamed, the directory synced.
const (
	instanceName   = "instance"
	instanceTitle  = "milena instance"
	instanceFormat = 1
	instanceMax    = 4096 // bytes of an instance file

	shardLogs       = 64
	coordinatorLogs = 64
	logsMax         = 4096 // of either kind
)

// instance is what the file holds. The counts never change: topics and groups
// are found by them.
type instance struct {
	Format          int
	ClusterID       string
	ShardLogs       int
	CoordinatorLogs int
	Secure          bool
}

var errNewerFormat = errors.New("the data directory was written by a newer milena")

// openInstance reads the instance file, or makes one in a fresh directory.
// Secure makes the directory secure for good.
func openInstance(fs disk.FS, secure bool) (instance, error) {
	in, err := readInstance(fs)
	switch {
	case errors.Is(err, disk.ErrNotExist):
		if err := mustBeFresh(fs); err != nil {
			return instance{}, err
		}
		in = newInstance()
		in.Secure = secure
		return in, in.write(fs)
	case err != nil:
		return instance{}, err
	case secure && !in.Secure:
		in.Secure = true
		return in, in.write(fs)
	}
	return in, nil
}

func newInstance() instance {
	return instance{Format: instanceFormat, ClusterID: newClusterID(), ShardLogs: shardLogs, CoordinatorLogs: coordinatorLogs}
}

// mustBeFresh keeps an instance from starting empty over data whose instance
// file is lost.
func mustBeFresh(fs disk.FS) error {
	for _, dir := range []string{"journal", "topics"} {
		names, err := fs.List(dir)
		if err != nil && !errors.Is(err, disk.ErrNotExist) {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("%s/ is there but the file %q is not: this is not a whole data directory; put the file back, or start in another directory", dir, instanceName)
		}
	}
	return nil
}

func readInstance(fs disk.FS) (instance, error) {
	text, err := readFile(fs, instanceName, instanceMax)
	if err != nil {
		return instance{}, err
	}
	in, err := parseInstance(text)
	if err != nil {
		if !errors.Is(err, errNewerFormat) {
			err = fmt.Errorf("%w; put back a copy of it, or start in another directory with --data DIR: without it the data can't be read", err)
		}
		return instance{}, fmt.Errorf("file %s: %w", instanceName, err)
	}
	return in, nil
}

func parseInstance(text []byte) (instance, error) {
	var in instance
	lines := bufio.NewScanner(bytes.NewReader(text))
	if !lines.Scan() || lines.Text() != instanceTitle {
		return in, fmt.Errorf("its first line is not %q", instanceTitle)
	}
	sum := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), append(lines.Bytes(), '\n'))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if key == "crc" {
			if value != fmt.Sprintf("%08x", sum) {
				return in, errors.New("its checksum is wrong")
			}
			return in, in.check()
		}
		if err := in.set(key, value); err != nil {
			return in, err
		}
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), []byte(lines.Text()+"\n"))
	}
	return in, errors.New("it ends before its checksum")
}

func (in *instance) set(key, value string) (err error) {
	switch key {
	case "format":
		in.Format, err = strconv.Atoi(value)
		if err == nil && in.Format > instanceFormat {
			return fmt.Errorf("%w: format %d, this one knows up to %d; start the newer one", errNewerFormat, in.Format, instanceFormat)
		}
	case "cluster.id":
		in.ClusterID = value
	case "logs.shard":
		in.ShardLogs, err = strconv.Atoi(value)
	case "logs.coordinator":
		in.CoordinatorLogs, err = strconv.Atoi(value)
	case "secure":
		in.Secure, err = strconv.ParseBool(value)
	default:
		return fmt.Errorf("unknown line %q", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%q: %w", key, value, err)
	}
	return nil
}

func (in instance) check() error {
	switch {
	case in.Format < 1:
		return errors.New("it names no format")
	case in.ClusterID == "":
		return errors.New("it names no cluster id")
	case in.ShardLogs < 1 || in.ShardLogs > logsMax || in.CoordinatorLogs < 1 || in.CoordinatorLogs > logsMax:
		return fmt.Errorf("%d shard and %d coordinator logs: each must be 1 to %d", in.ShardLogs, in.CoordinatorLogs, logsMax)
	}
	return nil
}

func (in instance) text() []byte {
	text := fmt.Sprintf("%s\nformat=%d\ncluster.id=%s\nlogs.shard=%d\nlogs.coordinator=%d\nsecure=%t\n",
		instanceTitle, in.Format, in.ClusterID, in.ShardLogs, in.CoordinatorLogs, in.Secure)
	sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
	return fmt.Appendf([]byte(text), "crc=%08x\n", sum)
}

func (in instance) write(fs disk.FS) error {
	if err := replaceFile(fs, instanceName, in.text()); err != nil {
		return fmt.Errorf("write %s: %w", instanceName, err)
	}
	return nil
}

// readFile reads a small file, at most limit bytes of it.
func readFile(fs disk.FS, name string, limit int64) ([]byte, error) {
	f, err := fs.Open(name, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

// replaceFile puts content under a name so that a crash leaves the old or the
// new, whole.
func replaceFile(fs disk.FS, name string, content []byte) error {
	beside := name + ".new"
	if err := fs.Remove(beside); err != nil && !errors.Is(err, disk.ErrNotExist) {
		return err
	}
	f, err := fs.Open(beside, disk.Write|disk.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := fs.Rename(beside, name); err != nil {
		return err
	}
	return fs.SyncDir(".")
}

// newClusterID draws an id of Kafka's shape: a random UUID in 22 characters.
func newClusterID() string {
	for {
		var id [16]byte
		rand.Read(id[:])
		if text := base64.RawURLEncoding.EncodeToString(id[:]); text[0] != '-' { // scripts would take it for a flag
			return text
		}
	}
}
