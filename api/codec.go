package api

import "encoding/binary"

// Produce and Fetch carry nearly all bytes of a broker, so their outermost
// layers are read and written here by hand; all else is kmsg's.

// reader reads a request in its frame. What is not there reads as zero and
// leaves bad behind.
type reader struct {
	b        []byte
	flexible bool
	bad      bool
}

// take gives the next n bytes, where they lie.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) id() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

// uvarint is at most 5 bytes: it counts what is in a frame.
func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > binary.MaxVarintLen32 || v > 1<<31 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// count is the length of a list. Each entry takes a byte at least, so a list
// longer than its frame is none.
func (r *reader) count() int {
	n := 0
	if r.flexible {
		n = r.uvarint() - 1
	} else {
		n = int(r.int32())
	}
	if n > len(r.b) {
		r.bad, n = true, 0
	}
	return max(n, 0)
}

// string is nil where the field is null.
func (r *reader) string() []byte {
	n := 0
	if r.flexible {
		n = r.uvarint() - 1
	} else {
		n = int(r.int16())
	}
	if n == -1 {
		return nil
	}
	return r.take(n)
}

// bytes is nil where the field is null.
func (r *reader) bytes() []byte {
	n := 0
	if r.flexible {
		n = r.uvarint() - 1
	} else {
		n = int(r.int32())
	}
	if n == -1 {
		return nil
	}
	return r.take(n)
}

// tags skips tagged fields.
func (r *reader) tags() {
	if !r.flexible {
		return
	}
	for range r.uvarint() {
		if r.bad {
			return
		}
		r.uvarint()
		r.take(r.uvarint())
	}
}

// writer writes an answer.
type writer struct {
	b        []byte
	flexible bool
}

func (w *writer) int16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

// length is that of a list, or of bytes.
func (w *writer) length(n int) {
	if w.flexible {
		w.b = binary.AppendUvarint(w.b, uint64(n)+1)
		return
	}
	w.int32(int32(n))
}

// null is a list that is not there.
func (w *writer) null() {
	if w.flexible {
		w.b = append(w.b, 0)
		return
	}
	w.int32(-1)
}

// text writes a string, which may lie in a frame.
func text[T string | []byte](w *writer, s T) {
	if w.flexible {
		w.b = binary.AppendUvarint(w.b, uint64(len(s))+1)
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

func (w *writer) nullable(s *string) {
	switch {
	case s != nil:
		text(w, *s)
	case w.flexible:
		w.b = append(w.b, 0)
	default:
		w.int16(-1)
	}
}

// tags: none.
func (w *writer) tags() {
	if w.flexible {
		w.b = append(w.b, 0)
	}
}
