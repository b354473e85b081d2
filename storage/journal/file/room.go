package file

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"milena/storage/disk"
)

const zeroBytes = 1 << 20 // written at a time when a file is filled

// makeFile makes another file in the background, if the limit allows. Where the
// disk has no room for it and no other file is left, it makes a small one, so
// that a topic can be deleted; produce is refused until there is room for a
// whole one. Call it under the lock.
func (j *Journal) makeFile() {
	size := j.o.FileBytes
	if j.cur == nil {
		size = j.o.FirstBytes // somebody may wait for the first answer of this run
	}
	if j.making || j.closed || j.broken != nil || j.made+size > j.o.MaxLive || j.timer != nil {
		return
	}
	j.making = true
	small := len(j.free) == 0 // nothing is left to write to: what is no produce must go on
	j.slots++
	name := path.Join(j.dir, fmt.Sprintf("%02d.journal", j.slots))
	j.done.Add(1)
	go func() {
		defer j.done.Done()
		s, err := j.fillFile(name, size)
		none := errors.Is(err, disk.ErrNoSpace)
		if none && small {
			s, err = j.fillFile(name, j.o.FirstBytes)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.making = false
		if none || err == nil {
			j.haveRoom(!none)
		}
		switch {
		case err == nil:
			j.made += s.size
			j.free = append(j.free, s)
		case errors.Is(err, disk.ErrNoSpace):
			j.slots--
		default:
			j.breakDown(fmt.Errorf("make journal file %s: %w", name, err))
		}
		if none && j.broken == nil {
			j.timer = time.AfterFunc(roomRetry, j.tryAgain)
		}
		j.work.Signal()
	}()
}

// tryAgain looks for room once more, while somebody waits for it.
func (j *Journal) tryAgain() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.timer = nil
	j.work.Signal()
	whole := slices.ContainsFunc(j.free, func(s *slot) bool { return s.size >= j.o.FileBytes })
	if whole || j.made+j.o.FileBytes > j.o.MaxLive { // recycled, or not for want of room
		j.haveRoom(true)
	}
	if len(j.free) == 0 || j.noRoom {
		j.makeFile()
	}
}

// haveRoom tells when room for files runs out, and when it is back.
func (j *Journal) haveRoom(some bool) {
	if some != j.noRoom {
		return
	}
	j.noRoom = !some
	if !some {
		j.asked = snapshotsKept // after so many Saves all that can be recycled is
		j.want()
	}
	go j.o.NoRoom(!some)
}

// fillFile makes a file of zeros, durable with its name.
func (j *Journal) fillFile(name string, size int64) (_ *slot, err error) {
	if room, err := j.fs.Space(); err == nil && room.Free < uint64(size) {
		return nil, fmt.Errorf("%w: %d bytes are free", disk.ErrNoSpace, room.Free) // filling up what is left helps nobody
	}
	flag := disk.Write | disk.Create
	if j.direct {
		flag |= disk.Direct
	}
	f, err := j.fs.Open(name, flag)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
			j.fs.Remove(name) //nolint:errcheck // it is of no use, and the first error counts
		}
	}()
	zeros := aligned(int(min(zeroBytes, size)))
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return nil, err
		}
	}
	if err = f.Sync(); err != nil {
		return nil, err
	}
	if err = j.fs.SyncDir(j.dir); err != nil {
		return nil, err
	}
	return &slot{file: f, name: name, size: size}, nil
}

// recycle frees the old files that the older of two Saves no longer needs. A
// file can go when no log's entries in it are needed; where a log ended in it
// stands in the head of the file behind it. After a start no file is written
// yet, and the newest stays. Call it under the lock.
func (j *Journal) recycle() {
	for len(j.old) > 0 {
		behind := j.cur
		if len(j.old) > 1 {
			behind = j.old[1]
		}
		if behind == nil || len(j.holes) > 0 && !j.judged || !j.unneeded(behind) {
			return
		}
		if l := j.old[0]; j.isEvidence(l, behind) {
			j.made -= l.size
			j.aside = append(j.aside, l)
		} else {
			j.free = append(j.free, &l.slot)
		}
		j.old = j.old[1:]
	}
}

// isEvidence says that a stopped log went on in a file, behind its last good
// place: nothing of it is deleted. Call it under the lock.
func (j *Journal) isEvidence(l, behind *life) bool {
	for log := range j.logs {
		end := &j.logs[log]
		if end.stopped && behind.needs(log) > max(end.until, l.ends[log].place) {
			return true
		}
	}
	return false
}

// moveAside moves what a damaged log left into lost/: files that only it would
// need, and those that lost their heads.
func (j *Journal) moveAside() error {
	j.mu.Lock()
	files := j.aside
	j.aside = nil
	if j.judged && j.remembered() {
		for _, lost := range j.lostHead {
			j.made -= lost.size
			files = append(files, &life{slot: slot{name: lost.name}})
		}
		j.lostHead = nil
	}
	j.mu.Unlock()
	for _, l := range files {
		if err := j.setAside(l.name); err != nil {
			return fmt.Errorf("set %s aside: %w", l.name, err)
		}
		if l.file != nil {
			l.file.Close() // nothing was written to it
		}
		j.o.Log.Warn("a damaged log's file was set aside in lost/", "file", l.name)
	}
	if len(files) == 0 {
		return nil
	}
	return errors.Join(j.fs.SyncDir(path.Join(j.dir, lostDir)), j.fs.SyncDir(j.dir))
}

// remembered says that two snapshots know which logs damage stopped. Call it
// under the lock.
func (j *Journal) remembered() bool {
	for log := range j.logs {
		if j.logs[log].stopped && j.keep[log] != stoppedKeep {
			return false
		}
	}
	return len(j.snapshots) >= snapshotsKept
}

// unneeded says that nothing before a life is needed any more. Call it under the
// lock.
func (j *Journal) unneeded(behind *life) bool {
	for log := range behind.ends {
		if behind.needs(log) > j.keep[log] {
			return false
		}
	}
	return true
}
