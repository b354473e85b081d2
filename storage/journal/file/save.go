package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"milena/storage/disk"
	"milena/storage/journal"
)

const (
	snapshotSuffix = ".snapshot"
	snapshotsKept  = 2
	stoppedKeep    = math.MaxUint64 // of a log that damage stopped
)

// savedFile is a snapshot file that is on the disk, whole.
type savedFile struct {
	number uint64
	keep   []uint64 // per log
}

// Save keeps the snapshots:
//
//	1 write   all of them into one file beside the others, and sync it; what they
//	          rest on is durable before
//	2 rename  it to its name, and sync the directory
//	3 remove  all but the newest two
//	4 recycle the files that the older of the two no longer needs
func (j *Journal) Save(_ context.Context, snapshots []journal.Snapshot) error {
	j.saving.Lock()
	defer j.saving.Unlock()
	saved := savedFile{number: 1, keep: make([]uint64, len(j.logs))}
	if n := len(j.snapshots); n > 0 {
		saved.number = j.snapshots[n-1].number + 1
	}
	for _, s := range snapshots {
		if int(s.Log) >= len(saved.keep) {
			return fmt.Errorf("snapshot of log %d, but there are %d", s.Log, len(saved.keep))
		}
	}
	j.mu.Lock()
	broken, stopped := j.broken, j.stoppedLogs()
	j.mu.Unlock()
	if broken != nil {
		return broken
	}
	saved.needs(snapshots, stopped)
	err := j.syncWritten()
	if err == nil {
		err = j.writeSnapshot(saved.number, snapshots, stopped)
	}
	if errors.Is(err, disk.ErrNoSpace) {
		return fmt.Errorf("%w: save snapshot: %w", journal.ErrNoRoom, err)
	}
	if err != nil {
		err = fmt.Errorf("save snapshot: %w", err)
		j.mu.Lock()
		j.breakDown(err)
		j.mu.Unlock()
		return err
	}
	j.snapshots = append(j.snapshots, saved)
	for len(j.snapshots) > snapshotsKept {
		if err := j.fs.Remove(j.snapshotName(j.snapshots[0].number)); err != nil && !errors.Is(err, disk.ErrNotExist) {
			return fmt.Errorf("remove old snapshot: %w", err)
		}
		j.snapshots = j.snapshots[1:]
	}
	j.mu.Lock()
	j.since = 0
	j.keepFrom(j.snapshots)
	j.recycle()
	if j.asked--; j.asked > 0 {
		j.want()
	}
	j.mu.Unlock()
	j.work.Signal()
	return j.moveAside()
}

// needs notes what a snapshot still needs of each log's entries: of one that
// damage stopped, none. What is there of it goes to lost/.
func (f *savedFile) needs(snapshots []journal.Snapshot, stopped []bool) {
	for _, s := range snapshots {
		if int(s.Log) >= len(f.keep) {
			continue
		}
		f.keep[s.Log] = s.Keep
		if stopped[s.Log] {
			f.keep[s.Log] = stoppedKeep
		}
	}
}

// keepFrom sets what the files must still hold: what the older of two snapshots
// needs, and all of it while there is only one.
func (j *Journal) keepFrom(saved []savedFile) {
	if len(saved) < snapshotsKept {
		clear(j.keep)
		return
	}
	copy(j.keep, saved[len(saved)-snapshotsKept].keep)
}

// syncWritten makes durable what is only acknowledged, with OSDurability: no
// snapshot may be ahead of the entries that are left after a power cut.
func (j *Journal) syncWritten() error {
	j.mu.Lock()
	cur, durable := j.cur, j.durable
	j.mu.Unlock()
	if !j.o.OSDurability || cur == nil {
		return nil
	}
	if err := cur.file.Datasync(); err != nil {
		return err
	}
	j.mu.Lock()
	j.synced = max(j.synced, durable)
	j.mu.Unlock()
	return nil
}

func (j *Journal) snapshotName(number uint64) string {
	return path.Join(j.dir, fmt.Sprintf("%08d%s", number, snapshotSuffix))
}

func (j *Journal) writeSnapshot(number uint64, snapshots []journal.Snapshot, stopped []bool) error {
	beside := path.Join(j.dir, "new"+snapshotSuffix)
	if err := j.fs.Remove(beside); err != nil && !errors.Is(err, disk.ErrNotExist) {
		return err
	}
	f, err := j.fs.Open(beside, disk.Write|disk.Create)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(encodeSnapshots(number, snapshots, stopped), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		j.fs.Remove(beside) //nolint:errcheck // it is of no use, and the first error counts
		return err
	}
	if err := j.fs.Rename(beside, j.snapshotName(number)); err != nil {
		return err
	}
	return j.fs.SyncDir(j.dir)
}

func encodeSnapshots(number uint64, snapshots []journal.Snapshot, stopped []bool) []byte {
	size := snapshotHead + 4
	for _, s := range snapshots {
		size += snapshotEach + len(s.Body)
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, snapshotMagic)
	b = binary.LittleEndian.AppendUint32(b, snapshotFormat)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(snapshots)))
	for _, s := range snapshots {
		flags := uint16(0)
		if int(s.Log) < len(stopped) && stopped[s.Log] {
			flags = stoppedFlag
		}
		b = binary.LittleEndian.AppendUint16(b, s.Log)
		b = binary.LittleEndian.AppendUint16(b, flags)
		b = binary.LittleEndian.AppendUint64(b, s.Place)
		b = binary.LittleEndian.AppendUint64(b, uint64(s.Token))
		b = binary.LittleEndian.AppendUint64(b, s.Keep)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Body)))
		b = append(b, s.Body...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errSnapshot = errors.New("snapshot does not verify")

// decodeSnapshots reads a snapshot file, and which of its logs (up to the
// largest in it) damage had stopped.
func decodeSnapshots(b []byte) (number uint64, snapshots []journal.Snapshot, stopped []bool, err error) {
	if len(b) < snapshotHead+4 || binary.LittleEndian.Uint32(b) != snapshotMagic {
		return 0, nil, nil, errSnapshot
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, nil, nil, errSnapshot
	}
	f := binary.LittleEndian.Uint32(b[4:])
	if f > snapshotFormat {
		return 0, nil, nil, fmt.Errorf("%w: snapshot of format %d, this one knows up to %d", journal.ErrFormat, f, snapshotFormat)
	}
	number = binary.LittleEndian.Uint64(b[8:])
	rest := body[snapshotHead:]
	for range binary.LittleEndian.Uint32(b[16:]) {
		s, halted, n := decodeSnapshot(rest, f)
		if n == 0 {
			return 0, nil, nil, errSnapshot
		}
		for int(s.Log) >= len(stopped) {
			stopped = append(stopped, false)
		}
		stopped[s.Log] = halted
		snapshots, rest = append(snapshots, s), rest[n:]
	}
	return number, snapshots, stopped, nil
}

// decodeSnapshot reads one log's snapshot, and says how many bytes that were;
// 0: there is none.
func decodeSnapshot(b []byte, format uint32) (s journal.Snapshot, stopped bool, n int) {
	if len(b) < 2 {
		return s, false, 0
	}
	s.Log, n = binary.LittleEndian.Uint16(b), 2
	if format > 1 && len(b) >= 4 {
		stopped, n = binary.LittleEndian.Uint16(b[2:])&stoppedFlag != 0, 4
	}
	if b = b[n:]; len(b) < snapshotEach-4 {
		return s, false, 0
	}
	s.Place = binary.LittleEndian.Uint64(b)
	s.Token = journal.Token(binary.LittleEndian.Uint64(b[8:]))
	s.Keep = binary.LittleEndian.Uint64(b[16:])
	size := binary.LittleEndian.Uint32(b[24:])
	b = b[28:]
	if uint64(size) > uint64(len(b)) {
		return s, false, 0
	}
	s.Body = b[:size:size]
	return s, stopped, n + 28 + int(size)
}

// Load gives the newest snapshots that verify.
func (j *Journal) Load(context.Context) ([]journal.Snapshot, error) {
	j.saving.Lock()
	defer j.saving.Unlock()
	if len(j.snapshots) == 0 {
		return nil, nil
	}
	snapshots, _, err := j.readSnapshot(j.snapshots[len(j.snapshots)-1].number)
	return snapshots, err
}

// findSnapshots reads the snapshot files that verify, newest first, and keeps
// the newest's content. One that does not verify is set aside in lost/.
func (j *Journal) findSnapshots() error {
	names, err := j.fs.List(j.dir)
	if err != nil {
		return err
	}
	var numbers []uint64
	for _, name := range names {
		if text, ok := strings.CutSuffix(name, snapshotSuffix); ok {
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	for _, n := range numbers {
		snapshots, stopped, err := j.readSnapshot(n)
		if errors.Is(err, errSnapshot) {
			j.o.Log.Error("a snapshot is damaged: using the one before it", "file", j.snapshotName(n))
			if err := j.setAside(j.snapshotName(n)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if j.loaded == nil {
			j.loaded = snapshots
			j.rememberStopped(snapshots, stopped)
		}
		saved := savedFile{number: n, keep: make([]uint64, len(j.logs))}
		saved.needs(snapshots, stopped)
		j.snapshots = slices.Insert(j.snapshots, 0, saved)
	}
	j.keepFrom(j.snapshots)
	return nil
}

func (j *Journal) readSnapshot(number uint64) ([]journal.Snapshot, []bool, error) {
	f, err := j.fs.Open(j.snapshotName(number), 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && !(errors.Is(err, io.EOF) && n == len(b)) {
		return nil, nil, fmt.Errorf("read %s: %w", j.snapshotName(number), err)
	}
	n, snapshots, stopped, err := decodeSnapshots(b)
	if err == nil && n != number {
		err = errSnapshot
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", j.snapshotName(number), err)
	}
	return snapshots, stopped, nil
}

// setAside moves a file that is of no use, but somebody's, into lost/.
func (j *Journal) setAside(name string) error {
	lost := path.Join(j.dir, lostDir)
	if err := j.fs.MakeDir(lost); err != nil {
		return err
	}
	to := path.Join(lost, path.Base(name))
	for n := 2; ; n++ { // names of files are used again
		if _, err := j.fs.Stat(to); errors.Is(err, disk.ErrNotExist) {
			return j.fs.Rename(name, to)
		} else if err != nil {
			return err
		}
		to = path.Join(lost, fmt.Sprintf("%d-%s", n, path.Base(name)))
	}
}
