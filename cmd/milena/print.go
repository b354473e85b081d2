package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// outputs are what -o understands where it prints lists.
const outputs = "table, tsv, json, jsonl, yaml, name"

// listing is a table with a row a thing; rows are also what JSON shows.
type listing struct {
	head []string
	rows [][]string
	json any // a slice of structs
}

// print writes a listing as asked; unasked, a table on a terminal, else
// tab-separated values without a head.
func (c *console) print(l listing, output string) error {
	if output == "" {
		output = "tsv"
		if c.outTerminal {
			output = "table"
		}
	}
	switch output {
	case "table":
		return c.printTable(l)
	case "tsv":
		for _, row := range l.rows {
			if err := c.printRow(row); err != nil {
				return err
			}
		}
		return nil
	case "name":
		for _, row := range l.rows {
			if _, err := fmt.Fprintln(c.out, row[0]); err != nil {
				return err
			}
		}
		return nil
	}
	return printValue(c.out, l.json, output)
}

func (c *console) printTable(l listing) error {
	w := tabwriter.NewWriter(c.out, 2, 8, 3, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(strings.Join(l.head, "\t")))
	for _, row := range l.rows {
		fmt.Fprintln(w, strings.Join(clean(row), "\t"))
	}
	return w.Flush()
}

func (c *console) printRow(row []string) error {
	_, err := fmt.Fprintln(c.out, strings.Join(clean(row), "\t"))
	return err
}

// clean keeps what a broker says from moving the cursor or breaking a row.
func clean(row []string) []string {
	safe := make([]string, len(row))
	for i, cell := range row {
		safe[i] = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, cell)
	}
	return safe
}

// printValue writes JSON, JSON lines or YAML.
func printValue(w io.Writer, value any, output string) error {
	switch output {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	case "jsonl":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		list := reflect.ValueOf(value)
		if list.Kind() != reflect.Slice {
			return encoder.Encode(value)
		}
		for i := range list.Len() {
			if err := encoder.Encode(list.Index(i).Interface()); err != nil {
				return err
			}
		}
		return nil
	case "yaml":
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.UseNumber()
		var y yamlWriter
		if err := y.node(decoder, "", false); err != nil {
			return err
		}
		_, err = io.WriteString(w, y.String())
		return err
	}
	return fmt.Errorf("-o %s: allowed are %s", output, outputs)
}

func checkOutput(output string) error {
	for _, known := range strings.Split(outputs, ", ") {
		if output == known || output == "" {
			return nil
		}
	}
	return fmt.Errorf("-o %s: allowed are %s", output, outputs)
}

// yamlWriter turns JSON into YAML's block style, keys in their order.
type yamlWriter struct{ strings.Builder }

func (y *yamlWriter) node(d *json.Decoder, indent string, inline bool) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return y.object(d, indent, inline)
	case json.Delim('['):
		return y.array(d, indent)
	}
	y.WriteString(" " + yamlScalar(token) + "\n")
	return nil
}

func (y *yamlWriter) object(d *json.Decoder, indent string, inline bool) error {
	if !d.More() {
		y.WriteString(" {}\n")
		_, err := d.Token()
		return err
	}
	if indent != "" && !inline {
		y.WriteString("\n")
	}
	for first := true; d.More(); first = false {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if !first || !inline {
			y.WriteString(indent)
		}
		y.WriteString(yamlScalar(key) + ":")
		if err := y.node(d, indent+"  ", false); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func (y *yamlWriter) array(d *json.Decoder, indent string) error {
	if !d.More() {
		y.WriteString(" []\n")
		_, err := d.Token()
		return err
	}
	if indent != "" {
		y.WriteString("\n")
	}
	for d.More() {
		y.WriteString(indent + "-")
		var ahead strings.Builder
		inner := yamlWriter{}
		if err := inner.node(d, indent+"  ", true); err != nil {
			return err
		}
		text := inner.String()
		if !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\n") {
			ahead.WriteString(" ")
		}
		y.WriteString(ahead.String() + text)
	}
	_, err := d.Token()
	return err
}

// yamlScalar writes a word bare where YAML takes it for the same word, else
// quoted as JSON, which YAML reads too.
func yamlScalar(token json.Token) string {
	text, isText := token.(string)
	if !isText {
		if token == nil {
			return "null"
		}
		return fmt.Sprint(token)
	}
	bare := text != "" && utf8.ValidString(text) && unicode.IsLetter(rune(text[0])) && text[0] < utf8.RuneSelf
	for _, r := range text {
		bare = bare && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-/ ", r))
	}
	switch strings.ToLower(text) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
		bare = false
	}
	if bare && !strings.HasSuffix(text, " ") {
		return text
	}
	var quoted strings.Builder
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string can always be written
	return strings.TrimSuffix(quoted.String(), "\n")
}
