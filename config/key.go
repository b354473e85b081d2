package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Scope says whose a key is.
type Scope int8

const (
	OfBroker Scope = iota
	OfTopic
)

// Effect says what a key does here.
type Effect int8

const (
	Honoured Effect = iota // it does what it says
	Stored                 // kept and described, without an effect yet
	Needless               // what it tunes does not exist here
	Refused                // ignoring it would weaken safety or security
)

func (e Effect) String() string {
	switch e {
	case Stored:
		return "stored, no effect yet"
	case Needless:
		return "accepted, not needed here"
	case Refused:
		return "refused"
	}
	return "honoured"
}

// Key is one row of the table.
type Key struct {
	Name        string
	Scope       Scope
	Type        Type
	Default     string
	Unset       bool // there is no default
	Allowed     Allowed
	Synonyms    []string // broker keys that give the value, nearest first
	Effect      Effect
	PerListener bool   // may stand behind listener.name.NAME.
	Fixed       bool   // Kafka, too, takes it only at start
	Doc         string // what it does
	Why         string // why it has no effect, or why a value is refused
}

// TopicNote is what a person should know of a topic that sets a key; empty:
// nothing.
func TopicNote(name, value string) string {
	k := TopicKey(name)
	switch {
	case k == nil || value == k.Default:
		return ""
	case k.Effect == Stored || k.Effect == Needless:
		return k.Effect.String() + ": " + k.Why
	case name == "cleanup.policy" && slices.Contains(splitList(value), "compact"):
		return k.Why
	}
	return ""
}

// Sensitive values are never shown.
func (k *Key) Sensitive() bool { return k.Type == Password }

// Check says whether the key may have the value, in Kafka's words.
func (k *Key) Check(value string) error {
	complaint := k.Type.complaint(value)
	if complaint == "" && k.Allowed.complaint != nil {
		complaint = k.Allowed.complaint(value)
	}
	if complaint == "" {
		return nil
	}
	if k.Sensitive() {
		value = "[hidden]"
	}
	return fmt.Errorf("Invalid value %s for configuration %s: %s", value, k.Name, complaint) //nolint:staticcheck // Kafka's words
}

// complaint says why a text is no value of the type; empty: it is one.
func (t Type) complaint(value string) string {
	var err error
	switch t {
	case Boolean:
		if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
			return "Expected value to be either true or false"
		}
	case Int:
		_, err = strconv.ParseInt(value, 10, 32)
	case Short:
		_, err = strconv.ParseInt(value, 10, 16)
	case Long:
		_, err = strconv.ParseInt(value, 10, 64)
	case Double:
		_, err = strconv.ParseFloat(value, 64)
	}
	if err != nil {
		return "Not a number of type " + strings.ToUpper(t.String())
	}
	return ""
}

func (t Type) String() string {
	names := [...]string{"", "boolean", "string", "int", "short", "long", "double", "list", "class", "password"}
	if int(t) < len(names) {
		return names[t]
	}
	return ""
}

// Allowed is what a value may be beyond its type.
type Allowed struct {
	Text      string // for people: "at least 1"
	complaint func(value string) string
}

func atLeast(low float64) Allowed {
	text := strconv.FormatFloat(low, 'f', -1, 64)
	return Allowed{"at least " + text, func(value string) string {
		if n, _ := strconv.ParseFloat(value, 64); n < low {
			return "Value must be at least " + text
		}
		return ""
	}}
}

func between(low, high float64) Allowed {
	most := strconv.FormatFloat(high, 'f', -1, 64)
	least := atLeast(low)
	return Allowed{strings.TrimPrefix(least.Text, "at least ") + " to " + most, func(value string) string {
		if complaint := least.complaint(value); complaint != "" {
			return complaint
		}
		if n, _ := strconv.ParseFloat(value, 64); n > high {
			return "Value must be no more than " + most
		}
		return ""
	}}
}

// or allows one value beside a range.
func (a Allowed) or(value string) Allowed {
	return Allowed{value + ", or " + a.Text, func(given string) string {
		if given == value {
			return ""
		}
		return a.complaint(given)
	}}
}

func oneOf(words ...string) Allowed {
	return Allowed{"one of " + strings.Join(words, ", "), func(value string) string {
		return notAmong(value, words)
	}}
}

func listOf(words ...string) Allowed {
	return Allowed{"a list of " + strings.Join(words, ", "), func(value string) string {
		for _, one := range splitList(value) {
			if complaint := notAmong(one, words); complaint != "" {
				return complaint
			}
		}
		return ""
	}}
}

func notAmong(value string, words []string) string {
	for _, word := range words {
		if value == word {
			return ""
		}
	}
	return "String must be one of: " + strings.Join(words, ", ")
}

// only allows the one value that is true here.
func only(value, complaint string) Allowed {
	return Allowed{"only " + value, func(given string) string {
		if strings.EqualFold(given, value) {
			return ""
		}
		return complaint
	}}
}

// users are principals as User:name, separated by semicolons.
func users() Allowed {
	return Allowed{"User:name;User:name", func(value string) string {
		for _, one := range strings.Split(value, ";") {
			name, ok := strings.CutPrefix(strings.TrimSpace(one), "User:")
			if strings.TrimSpace(one) != "" && (!ok || name == "") {
				return "Principals must be User:name"
			}
		}
		return ""
	}}
}

// splitList takes a list apart as Kafka does: commas, blanks around them dropped.
func splitList(value string) []string {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
