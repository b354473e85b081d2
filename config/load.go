package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Loading walks through here once:
//
//	gather   file, then environment, then flags: the later beats the earlier
//	find     the key's row, or its family, or its nearest name
//	check    type and range; what is refused; the listeners as a whole

// Given is where an instance's configuration comes from.
type Given struct {
	File  string     // a properties file; may be empty
	Env   []string   // as os.Environ gives it
	Flags []KeyValue // in the order given
}

// KeyValue is one key that was set by hand.
type KeyValue struct {
	Key, Value string
}

// Warning is something about a key that a person should know.
type Warning struct {
	Key    string
	Origin string // "server.properties, line 3"
	Text   string
}

func (w Warning) String() string { return fmt.Sprintf("%s (%s): %s", w.Key, w.Origin, w.Text) }

// envPrefix marks keys in the environment.
const envPrefix = "MILENA_"

// clientEnv are variables of the command line's client verbs, not keys.
var clientEnv = []string{"BROKERS", "USER", "PASSWORD", "PASSWORD_FILE", "CA", "CONFIG", "DATA"}

// setting is a key that was set.
type setting struct {
	key    string
	value  string
	origin string
}

// Load reads and checks a configuration. Unknown keys are warnings; an invalid
// value is an error that names key, value, what is allowed and its origin.
func Load(from Given) (*Broker, []Warning, error) {
	settings, err := gather(from)
	if err != nil {
		return nil, nil, err
	}
	b := &Broker{set: make(map[string]setting, len(settings))}
	var warnings []Warning
	var invalid []error
	for _, s := range settings {
		b.set[s.key] = s
	}
	for _, s := range settings {
		if b.set[s.key] != s {
			continue // a later one replaced it
		}
		warning, err := b.admit(s)
		if err != nil {
			invalid = append(invalid, err)
		} else if warning != "" {
			warnings = append(warnings, Warning{Key: s.key, Origin: s.origin, Text: warning})
		}
	}
	if err := errors.Join(invalid...); err != nil {
		return nil, warnings, err
	}
	if _, err := b.Listeners(false); err != nil {
		return nil, warnings, err
	}
	b.topic = b.topicDefaults()
	return b, warnings, nil
}

func gather(from Given) ([]setting, error) {
	var all []setting
	if from.File != "" {
		text, err := readFile(from.File)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		properties, err := ParseProperties(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from.File, err)
		}
		for _, p := range properties {
			all = append(all, setting{p.Key, strings.TrimSpace(p.Value), fmt.Sprintf("%s, line %d", filepath.Base(from.File), p.Line)})
		}
	}
	for _, variable := range from.Env {
		name, value, _ := strings.Cut(variable, "=")
		if key, ok := envKey(name); ok {
			all = append(all, setting{key, strings.TrimSpace(value), "environment " + name})
		}
	}
	for _, flag := range from.Flags {
		all = append(all, setting{strings.TrimSpace(flag.Key), strings.TrimSpace(flag.Value), "command line"})
	}
	for i := range all {
		all[i].key = lowerListener(all[i].key)
	}
	return all, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > propertiesSizeMax {
		return nil, fmt.Errorf("%s: %d bytes are more than the limit of %d", path, info.Size(), propertiesSizeMax)
	}
	return os.ReadFile(path)
}

// envKey turns MILENA_NUM_PARTITIONS into num.partitions: one underscore is a
// dot, two are an underscore, three a dash.
func envKey(name string) (string, bool) {
	rest, ours := strings.CutPrefix(name, envPrefix)
	if !ours || rest == "" {
		return "", false
	}
	for _, client := range clientEnv {
		if rest == client {
			return "", false
		}
	}
	return strings.ToLower(underscores.Replace(rest)), true
}

var underscores = strings.NewReplacer("___", "-", "__", "_", "_", ".")

const listenerPrefix = "listener.name."

// splitListenerKey takes listener.name.NAME.key apart.
func splitListenerKey(key string) (listener, rest string, ok bool) {
	tail, ok := strings.CutPrefix(key, listenerPrefix)
	if !ok {
		return "", "", false
	}
	listener, rest, ok = strings.Cut(tail, ".")
	return listener, rest, ok && listener != "" && rest != ""
}

// lowerListener writes a listener's name in its keys as Kafka does: small.
func lowerListener(key string) string {
	listener, rest, ok := splitListenerKey(key)
	if !ok {
		return key
	}
	return listenerPrefix + strings.ToLower(listener) + "." + rest
}

// admit checks one setting. It returns what a person should be warned of.
func (b *Broker) admit(s setting) (warning string, err error) {
	name := s.key
	_, rest, ofListener := splitListenerKey(s.key)
	if ofListener {
		name = withoutMechanism(rest)
	}
	key := BrokerKey(name)
	if key == nil {
		return admitUnknown(s, name)
	}
	if ofListener && !key.PerListener && key.Effect != Refused {
		return "no effect: " + name + " is the same for all listeners", nil
	}
	if key.Effect == Refused && s.value != "" {
		return "", refusal(s, key, key.Why)
	}
	if s.value == "" && key.Unset {
		delete(b.set, s.key)
		return "", nil
	}
	if err := key.Check(s.value); err != nil {
		return "", invalid(s, key, err)
	}
	if key.Effect == Stored || key.Effect == Needless {
		return key.Effect.String() + ": " + key.Why, nil
	}
	return "", nil
}

// withoutMechanism drops the mechanism of listener.name.NAME.plain.sasl.….
func withoutMechanism(rest string) string {
	for _, mechanism := range []string{"plain.", "scram-sha-256.", "scram-sha-512.", "gssapi.", "oauthbearer."} {
		if tail, ok := strings.CutPrefix(rest, mechanism); ok {
			return tail
		}
	}
	return rest
}

func admitUnknown(s setting, name string) (warning string, err error) {
	for _, f := range families {
		if !strings.HasPrefix(name, f.prefix) {
			continue
		}
		if f.effect == Refused && s.value != "" {
			return "", refusal(s, &Key{Type: Password}, f.why)
		}
		return f.effect.String() + ": " + f.why, nil
	}
	if near := nearest(name); near != "" {
		return fmt.Sprintf("unknown key, it has no effect; did you mean %s?", near), nil
	}
	return "unknown key, it has no effect", nil
}

func invalid(s setting, key *Key, err error) error {
	allowed := cmp.Or(key.Allowed.Text, "a "+key.Type.String())
	text := fmt.Sprintf("%s: %s; allowed: %s", s.origin, err, allowed)
	if key.Why != "" {
		text += ". " + key.Why
	}
	return errors.New(text)
}

func refusal(s setting, key *Key, why string) error {
	value := s.value
	if key.Sensitive() {
		value = "[hidden]"
	}
	return fmt.Errorf("%s: %s=%s is refused: %s", s.origin, s.key, value, why)
}
