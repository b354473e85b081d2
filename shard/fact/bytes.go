package fact

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Errors that a reader ends with.
var (
	ErrShort   = errors.New("fact: ends before its fields do")
	ErrUnknown = errors.New("fact: of a kind or version that this release does not know")
)

// appendFact puts a fact behind dst: its length, kind, version, and the fields
// that the function appends.
func appendFact(dst []byte, kind uint16, version uint8, fields func([]byte) []byte) []byte {
	body := binary.LittleEndian.AppendUint16(nil, kind)
	body = append(body, version)
	body = fields(body)
	return appendBytes(dst, body)
}

// facts splits an entry's body.
func facts(body []byte) iter.Seq2[rawFact, error] {
	return func(yield func(rawFact, error) bool) {
		for r := (reader{left: body}); len(r.left) > 0; {
			one := reader{left: r.bytes()}
			f := rawFact{kind: one.uint16(), version: one.byte(), fields: one}
			if r.err != nil || one.err != nil {
				yield(rawFact{}, ErrShort)
				return
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}

type rawFact struct {
	kind    uint16
	version uint8
	fields  reader
}

func (f rawFact) unknown() error {
	return fmt.Errorf("%w: kind %#04x version %d", ErrUnknown, f.kind, f.version)
}

// end says what went wrong while a fact was read; bytes that nobody asked for
// are of a layout that nobody here knows.
func (f *rawFact) end() error {
	if err := f.fields.end(); err != nil {
		return fmt.Errorf("kind %#04x version %d: %w", f.kind, f.version, err)
	}
	return nil
}

func appendInt[T ~int | ~int8 | ~int16 | ~int32 | ~int64](dst []byte, v T) []byte {
	return binary.AppendVarint(dst, int64(v))
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendOptional(dst []byte, s *string) []byte {
	if s == nil {
		return binary.AppendUvarint(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(len(*s))+1), *s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendTime keeps milliseconds; the zero time stays zero.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixMilli())
}

// reader takes fields off the front. After its first error all it gives is
// zero; ask err at the end.
type reader struct {
	left []byte
	err  error
}

func (r *reader) end() error {
	if r.err == nil && len(r.left) > 0 {
		return fmt.Errorf("%w: %d bytes behind its fields", ErrUnknown, len(r.left))
	}
	return r.err
}

func (r *reader) fail() { r.err, r.left = ErrShort, nil }

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.left) {
		r.fail()
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.left)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.left = r.left[n:]
	return v
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.left)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.left = r.left[n:]
	return v
}

// count reads how many follow, each of at least one byte.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.left)) {
		r.fail()
		return 0
	}
	return int(n)
}

// bytes gives a part of the body, not a copy.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.left)) {
		r.fail()
		return nil
	}
	return r.take(int(n))
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) optional() *string {
	n := r.uint()
	if n == 0 {
		return nil
	}
	if n-1 > uint64(len(r.left)) {
		r.fail()
		return nil
	}
	s := string(r.take(int(n - 1)))
	return &s
}

func (r *reader) id() (id [16]byte) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) time() time.Time {
	if ms := r.int(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}
