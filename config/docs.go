package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

const docsHead = `# Configuration

This page is made from the table in ` + "`config/`" + ` by ` + "`milena config docs`" + `; a test keeps it current.

A value is taken from the command line (` + "`-c key=value`" + `), else from the environment, else from the file
(` + "`--config FILE.properties`" + `, Java's rules), else it is the default. In the environment a key is
` + "`MILENA_`" + ` and its name in capitals: ` + "`.` is `_`, `_` is `__`, `-` is `___`" + `. Behind
` + "`listener.name.NAME.`" + ` stand the keys marked with ¹, for one listener alone.

An unknown key is a warning that names the nearest known one. An invalid value is an error. What is marked
*refused* is an error as soon as it has a value, because going on without it would weaken safety or security.
Every key is read at start.
`

// WriteDocs writes the page about all keys.
func WriteDocs(w io.Writer) error {
	sections := []struct {
		title, lead string
		keys        []Key
	}{
		{"Instance", "", brokerKeys},
		{"Topic", "Set when a topic is created, with Kafka's names and defaults; the synonym is the instance's key that gives the value of topics that do not set it.", topicKeys},
		{"Group", "DescribeConfigs shows them, with Kafka's names and defaults. Nothing can set them yet.", groupKeys},
		{"Clients' metrics", "Likewise.", metricsKeys},
	}
	var page strings.Builder
	page.WriteString(docsHead)
	for _, section := range sections {
		fmt.Fprintf(&page, "\n## %s\n\n", section.title)
		if section.lead != "" {
			fmt.Fprintf(&page, "%s\n\n", section.lead)
		}
		for _, effect := range []Effect{Honoured, Stored, Needless, Refused} {
			writeKeys(&page, effect, section.keys)
		}
	}
	writeFamilies(&page)
	_, err := io.WriteString(w, page.String())
	return err
}

func writeKeys(page *strings.Builder, effect Effect, table []Key) {
	keys := slices.Clone(table)
	keys = slices.DeleteFunc(keys, func(k Key) bool { return k.Effect != effect })
	if len(keys) == 0 {
		return
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	title := effect.String()
	fmt.Fprintf(page, "### %s\n\n| key | type | default | allowed | what it does |\n|---|---|---|---|---|\n", strings.ToUpper(title[:1])+title[1:])
	for _, k := range keys {
		name := "`" + k.Name + "`"
		if k.PerListener {
			name += "¹"
		}
		value := "`" + k.Default + "`"
		switch {
		case k.Unset:
			value = "–"
		case k.Default == "":
			value = "empty"
		case k.Default == never:
			value = "never"
		}
		doc := k.Doc
		if k.Why != "" {
			doc += " *" + k.Why + "*"
		}
		if len(k.Synonyms) > 0 {
			doc += " Synonym: `" + strings.Join(k.Synonyms, "`, `") + "`."
		}
		fmt.Fprintf(page, "| %s | %s | %s | %s | %s |\n", name, k.Type, value, k.Allowed.Text, strings.ReplaceAll(doc, "|", `\|`))
	}
	page.WriteString("\n")
}

func writeFamilies(page *strings.Builder) {
	page.WriteString("## Keys by their beginning\n\nOther keys of Kafka's that begin so:\n\n| beginning | | why |\n|---|---|---|\n")
	for _, f := range families {
		fmt.Fprintf(page, "| `%s` | %s | %s |\n", f.prefix, f.effect, f.why)
	}
}
