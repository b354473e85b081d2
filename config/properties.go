package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	propertiesSizeMax  = 1 << 20 // bytes of a file
	propertiesCountMax = 10_000
)

// Property is one entry of a properties file.
type Property struct {
	Key, Value string
	Line       int // where it begins, from 1
}

// ParseProperties reads a file by Java's rules: = or : or blanks end a key, a
// backslash at a line's end continues it, # and ! begin comments, \t \n \r \f
// \uXXXX are what they say, and any other escaped character is itself. The
// text is UTF-8, or else ISO-8859-1. A key that comes twice is there twice.
func ParseProperties(text []byte) ([]Property, error) {
	if len(text) > propertiesSizeMax {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(text), propertiesSizeMax)
	}
	var found []Property
	lines := logicalLines{rest: decodeText(text)}
	for lines.next() {
		key, value := splitProperty(lines.text)
		key, err := unescape(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", lines.begin, err)
		}
		if value, err = unescape(value); err != nil {
			return nil, fmt.Errorf("line %d: %w", lines.begin, err)
		}
		if len(found) == propertiesCountMax {
			return nil, fmt.Errorf("line %d: more than %d keys", lines.begin, propertiesCountMax)
		}
		found = append(found, Property{Key: key, Value: value, Line: lines.begin})
	}
	return found, nil
}

func decodeText(text []byte) string {
	if utf8.Valid(text) {
		return strings.TrimPrefix(string(text), "\ufeff")
	}
	var wide strings.Builder
	for _, b := range text {
		wide.WriteRune(rune(b))
	}
	return wide.String()
}

// logicalLines walks over lines that say something, continued ones joined.
type logicalLines struct {
	rest  string
	line  int // of the natural line taken last
	begin int // of the logical line
	text  string
}

func (l *logicalLines) next() bool {
	for l.rest != "" {
		natural := strings.TrimLeft(l.natural(), blanks)
		if natural == "" || natural[0] == '#' || natural[0] == '!' {
			continue
		}
		l.begin = l.line
		var whole strings.Builder
		for continued(natural) {
			whole.WriteString(natural[:len(natural)-1])
			if natural = ""; l.rest != "" {
				natural = strings.TrimLeft(l.natural(), blanks)
			}
		}
		whole.WriteString(natural)
		l.text = whole.String()
		return true
	}
	return false
}

const blanks = " \t\f"

func (l *logicalLines) natural() string {
	l.line++
	end := strings.IndexAny(l.rest, "\r\n")
	if end < 0 {
		text := l.rest
		l.rest = ""
		return text
	}
	text := l.rest[:end]
	if strings.HasPrefix(l.rest[end:], "\r\n") {
		end++
	}
	l.rest = l.rest[end+1:]
	return text
}

// continued says whether a line ends in an odd number of backslashes.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitProperty finds the end of the key; both sides are still escaped.
func splitProperty(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=:"+blanks, line[i]) >= 0 {
			end = i
			break
		}
	}
	value = strings.TrimLeft(line[end:], blanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], blanks)
	}
	return line[:end], value
}

func unescape(text string) (string, error) {
	if strings.IndexByte(text, '\\') < 0 {
		return text, nil
	}
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			if text[i] != '\\' {
				plain.WriteByte(text[i])
			}
			continue
		}
		i++
		switch text[i] {
		case 't':
			plain.WriteByte('\t')
		case 'n':
			plain.WriteByte('\n')
		case 'r':
			plain.WriteByte('\r')
		case 'f':
			plain.WriteByte('\f')
		case 'u':
			r, width, err := unicodeEscape(text[i+1:])
			if err != nil {
				return "", err
			}
			plain.WriteRune(r)
			i += width
		default:
			plain.WriteByte(text[i])
		}
	}
	return plain.String(), nil
}

// unicodeEscape reads what follows \u: four digits, or two escapes that make
// one character together.
func unicodeEscape(text string) (r rune, width int, err error) {
	unit, err := fourDigits(text)
	if err != nil {
		return 0, 0, err
	}
	if utf16.IsSurrogate(unit) && strings.HasPrefix(text[4:], `\u`) {
		if low, err := fourDigits(text[6:]); err == nil {
			if whole := utf16.DecodeRune(unit, low); whole != utf8.RuneError {
				return whole, 10, nil
			}
		}
	}
	return unit, 4, nil
}

func fourDigits(text string) (rune, error) {
	if len(text) >= 4 {
		if n, err := strconv.ParseUint(text[:4], 16, 16); err == nil {
			return rune(n), nil
		}
	}
	return 0, fmt.Errorf(`\u must be followed by four hexadecimal digits`)
}
