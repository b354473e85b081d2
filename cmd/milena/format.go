package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordWriter appends one record as it is shown.
type recordWriter func(to []byte, p *kgo.FetchPartition, r *kgo.Record) []byte

const pythonMark = "{python}"

// newFormat understands -f: the client's % verbs, and %k{python} and
// %v{python}, which show bytes as Python prints them.
func newFormat(layout string) (recordWriter, error) {
	var parts []recordWriter
	for layout != "" {
		at, verb := findPython(layout)
		if at > 0 || at < 0 {
			plain := layout
			if at > 0 {
				plain = layout[:at]
			}
			f, err := kgo.NewRecordFormatter(plain)
			if err != nil {
				return nil, fmt.Errorf("-f %q: %w", plain, err)
			}
			parts = append(parts, func(to []byte, p *kgo.FetchPartition, r *kgo.Record) []byte {
				return f.AppendPartitionRecord(to, p, r)
			})
		}
		if at < 0 {
			break
		}
		parts = append(parts, pythonPart(verb))
		layout = layout[at+2+len(pythonMark):]
	}
	return func(to []byte, p *kgo.FetchPartition, r *kgo.Record) []byte {
		for _, part := range parts {
			to = part(to, p, r)
		}
		return to
	}, nil
}

func pythonPart(verb byte) recordWriter {
	return func(to []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
		if verb == 'k' {
			return appendPython(to, r.Key)
		}
		return appendPython(to, r.Value)
	}
}

// findPython finds the first %k{python} or %v{python} that stands by itself;
// what other verbs have in braces is theirs. -1: there is none.
func findPython(layout string) (at int, verb byte) {
	for i := 0; i+1 < len(layout); i++ {
		switch {
		case layout[i] == '\\':
			i++
		case layout[i] != '%':
		case (layout[i+1] == 'k' || layout[i+1] == 'v') && strings.HasPrefix(layout[i+2:], pythonMark):
			return i, layout[i+1]
		case i+2 < len(layout) && layout[i+2] == '{' && !strings.ContainsRune("%{}", rune(layout[i+1])):
			i += 2 + closing(layout[i+2:])
		default:
			i++
		}
	}
	return -1, 0
}

// closing is where the brace that a text begins with is closed.
func closing(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// appendPython writes bytes as Python's repr does: None, b'…', or b"…" where
// there is a single quote and no double one.
func appendPython(to, value []byte) []byte {
	if value == nil {
		return append(to, "None"...)
	}
	quote := byte('\'')
	text := string(value)
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	to = append(to, 'b', quote)
	for _, b := range value {
		switch {
		case b == quote || b == '\\':
			to = append(to, '\\', b)
		case b == '\t':
			to = append(to, `\t`...)
		case b == '\n':
			to = append(to, `\n`...)
		case b == '\r':
			to = append(to, `\r`...)
		case b < ' ' || b >= 0x7f:
			to = fmt.Appendf(to, `\x%02x`, b)
		default:
			to = append(to, b)
		}
	}
	return append(to, quote)
}

// asTable is how a record looks on a terminal: where it stands, dim, then key
// and value.
func asTable(colour bool) recordWriter {
	dim, plain := "", ""
	if colour {
		dim, plain = "\x1b[2m", "\x1b[0m"
	}
	return func(to []byte, _ *kgo.FetchPartition, r *kgo.Record) []byte {
		to = fmt.Appendf(to, "%s%s:%d:%d %s%s\t", dim, r.Topic, r.Partition, r.Offset, r.Timestamp.Local().Format("2006-01-02 15:04:05.000"), plain)
		if r.Key != nil {
			to = append(visible(to, r.Key), '\t')
		}
		return append(visible(to, r.Value), '\n')
	}
}

// visible keeps a record's bytes from commanding the terminal.
func visible(to, value []byte) []byte {
	for len(value) > 0 {
		r, size := utf8.DecodeRune(value)
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t', r >= 0x7f && r < 0xa0:
			for _, b := range value[:size] {
				to = fmt.Appendf(to, `\x%02x`, b)
			}
		default:
			to = append(to, value[:size]...)
		}
		value = value[size:]
	}
	return to
}

// shownRecord is a record as JSON and YAML. Bytes that are no text are base64
// under another name, so that no byte is lost and none is guessed.
type shownRecord struct {
	Topic       string        `json:"topic"`
	Partition   int32         `json:"partition"`
	Offset      int64         `json:"offset"`
	Timestamp   string        `json:"timestamp"`
	Key         *string       `json:"key"`
	KeyBase64   *string       `json:"key_base64,omitempty"`
	Value       *string       `json:"value"`
	ValueBase64 *string       `json:"value_base64,omitempty"`
	Headers     []shownHeader `json:"headers,omitempty"`
}

type shownHeader struct {
	Name        string  `json:"name"`
	Value       *string `json:"value"`
	ValueBase64 *string `json:"value_base64,omitempty"`
}

func show(r *kgo.Record) shownRecord {
	s := shownRecord{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
	}
	s.Key, s.KeyBase64 = textOrBase64(r.Key)
	s.Value, s.ValueBase64 = textOrBase64(r.Value)
	for _, h := range r.Headers {
		shown := shownHeader{Name: h.Key}
		shown.Value, shown.ValueBase64 = textOrBase64(h.Value)
		s.Headers = append(s.Headers, shown)
	}
	return s
}

func textOrBase64(value []byte) (text, encoded *string) {
	if value == nil {
		return nil, nil
	}
	if utf8.Valid(value) {
		s := string(value)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(value)
	return nil, &s
}
