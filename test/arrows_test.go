package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors are the rooms from top to bottom: a package imports only what stands
// below it, or its own children.
var floors = []string{
	"milenatest", "", "cmd", "server", "keystore", "wire", "api", "coordinator", "partition", "shard", "machine",
	"storage/journal", "storage/segment", "storage/disk", "batch", "config",
}

// floor finds a package's room: the longest name that it begins with.
func floor(pkg string) int {
	best, found := -1, -1
	for i, room := range floors {
		if (pkg == room || room != "" && strings.HasPrefix(pkg, room+"/")) && len(room) > best {
			best, found = len(room), i
		}
	}
	return found
}

// imports visits every import of the project's own code.
func imports(t *testing.T, visit func(pkg, file, imported string, tree *ast.File)) {
	t.Helper()
	root := ".."
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "milena-data") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, filepath.Dir(name))
		pkg := filepath.ToSlash(relative)
		if pkg == "." {
			pkg = ""
		}
		for _, spec := range tree.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			visit(pkg, name, imported, tree)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func tests(pkg string) bool {
	return strings.HasPrefix(pkg, "test") || strings.HasPrefix(pkg, "bench") || strings.HasSuffix(pkg, "test")
}

func TestArrowsPointDown(t *testing.T) {
	seen := 0
	imports(t, func(pkg, file, imported string, _ *ast.File) {
		target, ours := strings.CutPrefix(imported, "milena/")
		if !ours || tests(pkg) {
			return
		}
		seen++
		from, to := floor(pkg), floor(target)
		switch {
		case from < 0 || to < 0:
			t.Errorf("%s: %s or %s has no floor: add it to the test and to ARCHITECTURE.md", file, pkg, target)
		case from > to:
			t.Errorf("%s imports %s, which stands above it", file, imported)
		case strings.HasPrefix(pkg, "storage/") && strings.HasPrefix(target, "machine"):
			t.Errorf("%s: storage knows no rule", file)
		}
	})
	if seen < 50 {
		t.Errorf("only %d imports were looked at", seen)
	}
}

func TestMachinesAreAlone(t *testing.T) {
	forbidden := []string{"net", "os", "sync", "io", "context", "log"}
	imports(t, func(pkg, file, imported string, tree *ast.File) {
		if !strings.HasPrefix(pkg, "machine") || tests(pkg) {
			return
		}
		root, _, _ := strings.Cut(imported, "/")
		for _, name := range forbidden {
			if root == name {
				t.Errorf("%s imports %s: a machine has no clock, lock or I/O", file, imported)
			}
		}
		if strings.Contains(root, ".") && path.Base(imported) != "kerr" {
			t.Errorf("%s imports %s: machines import the standard library and kerr", file, imported)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" {
					switch call.Sel.Name {
					case "Now", "Since", "Until", "Sleep", "After", "NewTimer", "AfterFunc", "Tick", "NewTicker":
						t.Errorf("%s uses time.%s: time comes in from outside", file, call.Sel.Name)
					}
				}
			}
			return true
		})
	})
}

func TestTheCodecStaysInItsRooms(t *testing.T) {
	imports(t, func(pkg, file, imported string, _ *ast.File) {
		if tests(pkg) || !strings.HasPrefix(imported, "github.com/twmb/franz-go") {
			return
		}
		room, _, _ := strings.Cut(pkg, "/")
		switch path.Base(imported) {
		case "kerr":
		case "kmsg":
			if room != "wire" && room != "api" && room != "cmd" && pkg != "server" {
				t.Errorf("%s imports the codec", file)
			}
		default:
			if room != "cmd" {
				t.Errorf("%s imports a Kafka client", file)
			}
		}
	})
}
