package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// The table in doc.go and the tests agree: every statement has tests, every test
// in the table exists, and every test that is called after a statement stands
// at that statement.
func TestTheTableOfStatementsIsTrue(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(source, -1) {
			tests = append(tests, string(found[1]))
		}
	}
	listed := make(map[string][]string) // by statement
	statement := ""
	for _, found := range regexp.MustCompile(`(?m)^//\t(A\d+) |\b(Test\w+)`).FindAllSubmatch(text, -1) {
		if name := string(found[2]); name == "" {
			statement = string(found[1])
		} else {
			listed[statement] = append(listed[statement], name)
		}
	}
	named := regexp.MustCompile(`^TestA(\d\d)`)
	for n := 1; n <= 28; n++ {
		key := fmt.Sprintf("A%d", n)
		if n == 27 {
			continue // the console
		}
		if len(listed[key]) == 0 {
			t.Errorf("%s has no test", key)
		}
		for _, name := range listed[key] {
			if !slices.Contains(tests, name) {
				t.Errorf("%s: there is no test %s", key, name)
			}
		}
		for _, name := range tests {
			if m := named.FindStringSubmatch(name); m != nil && m[1] == fmt.Sprintf("%02d", n) && !slices.Contains(listed[key], name) {
				t.Errorf("%s is not in the table at %s", name, key)
			}
		}
	}
}
