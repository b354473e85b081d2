// Package shape checks a request's structure before the generated codec sees
// it: every length lies within the bytes that are left, every count is paid for
// by bytes, tags are few. What passes here makes the codec allocate in
// proportion to the request, and end.
//
// It never keeps anything, and never says what a field means.
package shape

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Limits of any request.
const (
	tagsMax     = 16      // of one struct
	elementsMax = 1 << 20 // of all arrays of a request
)

// Errors that close a connection.
var (
	ErrShort   = errors.New("it ends before its fields do")
	ErrLength  = errors.New("a length or count is impossible")
	ErrTags    = errors.New("too many tagged fields")
	ErrUnknown = errors.New("no such API is served")
)

// layout of the requests that are served. A field is its type, and in which
// versions it is there: type@from-to, type@from+. Types: i8 i16 i32 i64 bool
// uuid; str and bytes, nstr and nbytes that may be null; ( ) an array of one
// primitive, [ ] an array of structs, n in front: may be null.
var layouts = map[int16]struct {
	flexible int16 // from this version on; -1: never
	fields   string
}{
	0:  {9, "nstr@3+ i16 i32 [ str@0-12 uuid@13+ [ i32 nbytes ] ]"},
	1:  {12, "i32@0-14 i32 i32 i32@3+ i8@4+ i32@7+ i32@7+ [ str@0-12 uuid@13+ [ i32 i32@9+ i64 i32@12+ i64@5+ i32 ] ] [@7+ str@0-12 uuid@13+ ( i32 ) ] str@11+"},
	2:  {6, "i32 i8@2+ [ str [ i32 i32@4+ i64 i32@0-0 ] ] i32@10+"},
	3:  {9, "n[ uuid@10+ str@0-9 nstr@10+ ] bool@4+ bool@8-10 bool@8+"},
	8:  {8, "str i32@1+ str@1+ nstr@7+ i64@2-4 [ str@0-9 uuid@10+ [ i32 i64 i64@1-1 i32@6+ nstr ] ]"},
	9:  {6, "str@0-7 n[@0-7 str ( i32 ) ] [@8+ str nstr@9+ i32@9+ n[ str@0-9 uuid@10+ ( i32 ) ] ] bool@7+"},
	10: {3, "str@0-3 i8@1+ (@4+ str )"},
	11: {6, "str i32 i32@1+ str nstr@5+ str [ str bytes ] nstr@8+"},
	12: {4, "str i32 str nstr@3+"},
	13: {4, "str str@0-2 [@3+ str nstr nstr@5+ ]"},
	14: {4, "str i32 str nstr@3+ nstr@5+ nstr@5+ [ str bytes ]"},
	15: {5, "( str ) bool@3+"},
	16: {3, "(@4+ str ) (@5+ str )"},
	17: {-1, "str"},
	18: {3, "str@3+ str@3+ nstr@5+ i32@5+"},
	19: {5, "[ str i32 i16 [ i32 ( i32 ) ] [ str nstr ] ] i32 bool@1+"},
	20: {4, "[@6+ nstr uuid ] (@0-5 str ) i32"},
	22: {2, "nstr i32 i64@3+ i16@3+ bool@6+ bool@6+"},
	32: {4, "[ i8 str n( str ) ] bool@1+ bool@3+"},
	36: {2, "bytes"},
	42: {2, "( str )"},
	50: {0, "n[ str ]"},
	51: {0, "[ str i8 ] [ str i8 i32 bytes bytes ]"},
	60: {0, "bool i8@1+ bool@2+"},
}

// field is one field, read from its text once.
type field struct {
	kind     byte // the type's letter: 1 2 4 8 for integers, u uuid, s str, b bytes, ( [
	null     bool
	from, to int16
	inside   []field
}

var parsed = sync.OnceValue(func() map[int16][]field {
	all := make(map[int16][]field, len(layouts))
	for key, l := range layouts {
		words := strings.Fields(l.fields)
		all[key], _ = parse(words)
	}
	return all
})

func parse(words []string) (fields []field, rest []string) {
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if word == ")" || word == "]" {
			return fields, words
		}
		word, versions, ranged := strings.Cut(word, "@")
		f := field{to: 1 << 14}
		if ranged {
			from, to, bounded := strings.Cut(strings.TrimSuffix(versions, "+"), "-")
			low, _ := strconv.Atoi(from)
			f.from = int16(low)
			if bounded {
				high, _ := strconv.Atoi(to)
				f.to = int16(high)
			}
		}
		if strings.HasPrefix(word, "n") {
			f.null, word = true, word[1:]
		}
		switch word {
		case "i8", "bool":
			f.kind = 1
		case "i16":
			f.kind = 2
		case "i32":
			f.kind = 4
		case "i64":
			f.kind = 8
		default:
			f.kind = word[0] // u s b ( [
		}
		if f.kind == '(' || f.kind == '[' {
			f.inside, words = parse(words)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// Flexible says whether a request's header and body have tagged fields.
func Flexible(key, version int16) bool {
	l, ok := layouts[key]
	return ok && l.flexible >= 0 && version >= l.flexible
}

// Check walks a request's body. Bytes behind it are let pass, as Kafka does.
func Check(key, version int16, body []byte) error {
	_, err := walk(key, version, body)
	return err
}

// walk gives what is behind the body.
func walk(key, version int16, body []byte) ([]byte, error) {
	fields, ok := parsed()[key]
	if !ok {
		return nil, ErrUnknown
	}
	w := walker{left: body, version: version, flexible: Flexible(key, version), elements: elementsMax}
	w.structure(fields)
	return w.left, w.err
}

type walker struct {
	left     []byte
	version  int16
	flexible bool
	elements int
	err      error
}

func (w *walker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.left = nil
}

func (w *walker) skip(n int) {
	if n > len(w.left) {
		w.fail(ErrShort)
		return
	}
	w.left = w.left[n:]
}

func (w *walker) structure(fields []field) {
	for i := range fields {
		if w.err != nil {
			return
		}
		if f := &fields[i]; w.version >= f.from && w.version <= f.to {
			w.field(f)
		}
	}
	if w.flexible && w.err == nil {
		rest, err := SkipTags(w.left)
		if err != nil {
			w.fail(err)
			return
		}
		w.left = rest
	}
}

func (w *walker) field(f *field) {
	switch f.kind {
	case 'u':
		w.skip(16)
	case 's':
		w.skip(w.length(f, 2))
	case 'b':
		w.skip(w.length(f, 4))
	case '(', '[':
		w.array(f)
	default:
		w.skip(int(f.kind))
	}
}

// length reads a length of so many bytes, or a compact one.
func (w *walker) length(f *field, size int) int {
	n := -1
	switch {
	case w.flexible:
		v, read := binary.Uvarint(w.left)
		if read <= 0 || read > 5 || v > uint64(len(w.left)) {
			w.fail(ErrLength)
			return 0
		}
		w.left = w.left[read:]
		n = int(v) - 1
	case len(w.left) < size:
		w.fail(ErrShort)
		return 0
	case size == 2:
		n = int(int16(binary.BigEndian.Uint16(w.left)))
		w.left = w.left[2:]
	default:
		n = int(int32(binary.BigEndian.Uint32(w.left)))
		w.left = w.left[4:]
	}
	if n < -1 || n == -1 && !f.null {
		w.fail(ErrLength)
		return 0
	}
	return max(n, 0)
}

func (w *walker) array(f *field) {
	n := w.length(f, 4)
	if n > len(w.left) || n > w.elements { // each element takes a byte at least
		w.fail(ErrLength)
		return
	}
	w.elements -= n
	for ; n > 0 && w.err == nil; n-- {
		if f.kind == '(' {
			w.field(&f.inside[0])
		} else {
			w.structure(f.inside)
		}
	}
}

// SkipTags passes a struct's tagged fields.
func SkipTags(b []byte) ([]byte, error) {
	count, read := binary.Uvarint(b)
	if read <= 0 || read > 5 {
		return nil, ErrShort
	}
	if count > tagsMax {
		return nil, fmt.Errorf("%w: %d", ErrTags, count)
	}
	b = b[read:]
	for ; count > 0; count-- {
		for i := range 2 { // the tag, then its size
			v, read := binary.Uvarint(b)
			if read <= 0 || read > 5 {
				return nil, ErrShort
			}
			b = b[read:]
			if i == 1 {
				if v > uint64(len(b)) {
					return nil, ErrShort
				}
				b = b[v:]
			}
		}
	}
	return b, nil
}
