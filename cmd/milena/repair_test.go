package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"milena/server"
)

func TestARepairTellsWhatIsWrongWithTheCall(t *testing.T) {
	dir := t.TempDir()
	r := shell{t: t}.milena("repair", "--data", filepath.Join(dir, "nowhere"))
	if r.code != exitNotFound {
		t.Errorf("where no instance is: exit code %d, want %d", r.code, exitNotFound)
	}
	contains(t, r.err, "there is no instance in "+filepath.Join(dir, "nowhere"))
	if r := (shell{t: t}).milena("repair", "-o", "tsv"); r.code != exitUsage {
		t.Errorf("-o tsv: exit code %d, want %d", r.code, exitUsage)
	}
	shell{t: t}.ok("init", "--data", dir)
	contains(t, shell{t: t, env: []string{"MILENA_DATA=" + dir}}.ok("repair", "--yes"), dir+" is whole: there is nothing to repair.")
	var told server.Repaired
	if err := json.Unmarshal([]byte(shell{t: t}.ok("repair", "--data", dir, "-o", "json")), &told); err != nil || told.Data != dir || told.Done {
		t.Errorf("as JSON: %+v, %v", told, err)
	}
}

// What a person reads, before and after.
func TestTheWordsOfARepair(t *testing.T) {
	told := server.Repaired{
		Data: "/srv/milena", Reason: "journal/01.journal at 8200: a piece of log 13 place 6 does not verify",
		Logs: []server.DamagedLog{
			{Log: "cluster", Place: 41},
			{Log: "shard 12", Place: 5, Partitions: []server.LostOffset{{Topic: "orders", Partition: 3, From: 5120}, {Topic: "audit", Partition: 0}}},
			{Log: "shard 13", Place: 0},
			{Log: "coordinator 7", Place: 88, Groups: []string{"billing", "readers"}},
		},
		Files: []server.DamagedFile{
			{Name: "journal/01.journal", Bytes: 4 << 20, State: "damaged: chunks 3 to 3 are missing: journal/01.journal at 8192", Aside: true},
			{Name: "journal/02.journal", Bytes: 64 << 20, State: "whole"},
		},
		Topics: []server.RaisedTopic{{Topic: "orders"}, {Topic: "audit", Epoch: 2}},
		Found:  []server.FoundTopic{{Topic: "found", Partitions: 3}},
		Known:  &server.Known{Topics: 2, Users: 1},
	}
	var text strings.Builder
	c := &console{out: &text, program: "milena"}
	for _, done := range []bool{false, true} {
		told.Done = done
		if done {
			told.Topics[0].Epoch, told.Topics[1].Epoch = 1002, 1002
		}
		if err := (&repair{c: c}).print(told); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "repair.txt", text.String())
}
