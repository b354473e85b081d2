//go:build e2e

package mutants

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var bugs = []struct {
	name     string
	file     string
	from, to string
	in, test string // who must catch it
}{
	{
		"acknowledged before it is durable", "storage/journal/file/write.go",
		"	if err := b.file.file.Datasync(); err != nil {\n", "	if err := error(nil); err != nil {\n",
		"./storage/journal/file", "TestPowerCutAtEveryFileCall",
	},
	{
		"the journal is trimmed before what it held is settled", "shard/set.go",
		"	if err := settle(ctx); err != nil {\n", "	if err := error(nil); err != nil {\n",
		"./partition", "TestPowerCutAtEveryFileCallOfTheWholePath",
	},
	{
		"a batch's CRC is not looked at", "batch/check.go",
		"	case Sum(b[:size]) != h.CRC:\n", "	case false:\n",
		"./batch", "TestBatchesAreAnsweredAsByKafka",
	},
	{
		"a member of an old generation goes on", "machine/group/classic/group.go",
		"	case beat.Generation != g.generation:\n", "	case false:\n",
		"./machine/group/classic", "TestHeartbeatsAndCommitsOfOldGenerationsAreRefused",
	},
	{
		"a duplicate is answered before its original is durable", "partition/append.go",
		"			return l.Behind(w)\n", "			return false\n",
		"./partition", "TestADuplicateIsNotAnsweredBeforeItsOriginalIsDurable",
	},
	{
		"a segment is not synced before it is told as settled", "storage/segment/dir/files.go",
		"	if err := o.file.Datasync(); err != nil {\n", "	if err := error(nil); err != nil {\n",
		"./storage/segment/dir", "TestWhatSyncReportedSurvivesAPowerCutAtEveryCall",
	},
	{
		"the journal is trimmed before what settled is synced", "storage/segment/dir/files.go",
		"	if err := o.file.Datasync(); err != nil {\n", "	if err := error(nil); err != nil {\n",
		"./partition", "TestPowerCutAtEveryFileCallOfTheWholePath",
	},
	{
		"a new segment's name is not synced", "storage/segment/dir/part.go",
		"	err := p.store.fs.SyncDir(p.dir)\n", "	var err error\n",
		"./storage/segment/dir", "TestWhatSyncReportedSurvivesAPowerCutAtEveryCall",
	},
	{
		"a new journal file's name is not synced", "storage/journal/file/room.go",
		"	if err = j.fs.SyncDir(j.dir); err != nil {\n", "	if err != nil {\n",
		"./storage/journal/file", "TestPowerCutAtEveryFileCall",
	},
	{
		"a snapshot's name is not synced", "storage/journal/file/save.go",
		"	return j.fs.SyncDir(j.dir)\n", "	return nil\n",
		"./storage/journal/file", "TestPowerCut",
	},
	{
		"a snapshot's bytes are not synced", "storage/journal/file/save.go",
		"		err = f.Sync()\n", "",
		"./storage/journal/file", "TestPowerCut",
	},
	{
		"what is forgotten is not named first", "storage/segment/dir/part.go",
		"	if err := p.markStart(start); err != nil {\n		return err\n	}\n", "",
		"./storage/segment/dir", "Forgotten|Forgetting",
	},
	{
		"a failed sync is tried again", "storage/segment/dir/files.go",
		"		o.seg.handle.lost = err\n", "",
		"./storage/segment/dir", "TestAFailedSyncIsNeverTriedAgain",
	},
}

func TestEveryPlantedBugIsCaught(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			file := filepath.Join(root, bug.file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), bug.from); n != 1 {
				t.Fatalf("%s has %q %d times, want once", bug.file, bug.from, n)
			}
			out := testWith(t, root, file, strings.Replace(string(text), bug.from, bug.to, 1), bug.in, bug.test)
			t.Logf("%s", out)
			if !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic: ") {
				t.Errorf("not caught by %s in %s:\n%s", bug.test, bug.in, out)
			}
		})
	}
}

// testWith runs tests with another text in the place of a file.
func testWith(t *testing.T, root, file, text, in, run string) string {
	t.Helper()
	planted := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(planted, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: planted}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", list, "-vet=off", "-count=1", "-short", "-timeout", "2m", "-run", run, in)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if failed := (*exec.ExitError)(nil); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "[build failed]") {
		t.Fatalf("the planted bug does not compile:\n%s", out)
	}
	return string(out)
}
