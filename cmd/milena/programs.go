package main

import (
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"milena/keystore"
)

// The Python programs are those of the guide that this project began with, word
// for word; what stands in them for a value is replaced. Java's and Go's are ours.
//
//go:embed programs/*.txt
var programs embed.FS

// values are what the programs are filled with.
type values struct {
	brokers   []string
	protocol  string
	mechanism string
	user      string
	password  string
	topic     string
	group     string
	authority bool // there is a phy_ca.crt
}

func (v values) sasl() bool { return strings.HasPrefix(v.protocol, "SASL") }
func (v values) tls() bool  { return strings.HasSuffix(v.protocol, "SSL") }

// printPrograms writes one program, or both.
func (o *connect) printPrograms(cmd *cobra.Command, info connectInfo, which string) error {
	v, err := o.values(cmd, info)
	if err != nil {
		return err
	}
	kinds := []string{"produce", "consume"}
	if which != "" {
		kinds = []string{which}
	}
	for i, kind := range kinds {
		name, text, err := program(o.lang, kind, v)
		if err != nil {
			return usage(err, cmd)
		}
		if len(kinds) > 1 {
			comment := "//"
			if o.lang == "python" {
				comment = "#"
			}
			if i > 0 {
				fmt.Fprintln(o.c.out)
			}
			fmt.Fprintf(o.c.out, "%s ---- %s\n", comment, name)
		}
		if _, err := fmt.Fprint(o.c.out, text); err != nil {
			return err
		}
	}
	return nil
}

// values takes a listener, and of the flags what they say. A password is
// filled in only if its file was named.
func (o *connect) values(cmd *cobra.Command, info connectInfo) (values, error) {
	listener := info.best()
	if wanted := strings.ToUpper(o.k.set.get("security.protocol")); wanted != "" {
		i := slices.IndexFunc(info.Listeners, func(l connectListener) bool { return l.Protocol == wanted })
		if i < 0 {
			return values{}, usageOf(cmd, "-X security.protocol=%s: the instance has no such listener", wanted)
		}
		listener = info.Listeners[i]
	}
	v := values{
		brokers: listener.Addresses, protocol: listener.Protocol, topic: o.topic, group: o.group,
		user: o.user(info), password: "password", mechanism: o.k.set.get("sasl.mechanism"), authority: len(info.ca) > 0,
	}
	if len(o.k.brokers) > 0 {
		v.brokers = o.k.brokers
	}
	if o.k.passwordFile != "" {
		password, err := readPassword(o.k.passwordFile)
		if err != nil {
			return values{}, usageOf(cmd, "--password-file: %w", err)
		}
		v.password = password
	}
	return v, nil
}

// program gives one program's file name and text.
func program(lang, kind string, v values) (name, text string, err error) {
	switch lang {
	case "python":
		return pythonProgram(kind, v)
	case "java":
		name = map[string]string{"produce": "Producer.java", "consume": "Consumer.java"}[kind]
	case "go":
		name = map[string]string{"produce": "producer.go", "consume": "consumer.go"}[kind]
	default:
		return "", "", fmt.Errorf("--lang %s: allowed are python, java, go", lang)
	}
	raw, err := programs.ReadFile("programs/" + name + ".txt")
	if err != nil {
		return "", "", err
	}
	return name, v.fill(string(raw), lang), nil
}

func pythonProgram(kind string, v values) (name, text string, err error) {
	name = map[string]string{"produce": "producer", "consume": "consumer"}[kind]
	file := name
	if v.sasl() {
		file += "_sasl"
	}
	raw, err := programs.ReadFile("programs/" + file + ".py.txt")
	if err != nil {
		return "", "", err
	}
	text = strings.Replace(string(raw), `["ip1:port1","ip2:port2","ip3:port3"]`, pythonList(v.brokers), 1)
	set := func(key, value string) {
		for _, placeholder := range []string{"topic_name", "topic-name", "consumer_id", "consumer-id", "username", "password"} {
			if value != "" {
				text = strings.Replace(text, "'"+key+"': '"+placeholder+"'", "'"+key+"': "+pythonText(value), 1)
			}
		}
	}
	set("topic_name", v.topic)
	set("consumer_id", v.group)
	if v.sasl() {
		set("sasl_username", v.user)
		set("sasl_password", v.password)
	}
	if v.mechanism != "" {
		text = strings.Replace(text, `sasl_mechanism="PLAIN"`, `sasl_mechanism="`+v.mechanism+`"`, 1)
	}
	if v.protocol == "SASL_PLAINTEXT" {
		text = strings.Replace(text, "security_protocol='SASL_SSL'", "security_protocol='SASL_PLAINTEXT'", 1)
		text = strings.Replace(text, "\ncontext.verify_mode", "\n#context.verify_mode", 1)
		text = strings.Replace(text, "\ncontext.load_verify", "\n#context.load_verify", 1)
	}
	return name + ".py", text, nil
}

func pythonList(list []string) string {
	quoted := make([]string, len(list))
	for i, one := range list {
		quoted[i] = strconv.Quote(one)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// pythonText is a text in single quotes.
func pythonText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// fill puts values into a Java or Go program. Plain replacement does, and a
// template engine would be loaded at every start.
func (v values) fill(text, lang string) string {
	pairs := []string{"{{.Topic}}", orElse(v.topic, "topic-name"), "{{.Group}}", orElse(v.group, "consumer-id")}
	if lang == "java" {
		pairs = append(pairs, "{{.JavaProperties}}", v.javaProperties())
	} else {
		pairs = append(pairs, v.goParts()...)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (v values) javaProperties() string {
	var b strings.Builder
	put := func(key, value string) {
		fmt.Fprintf(&b, "        conf.put(%q, %q);\n", key, value)
	}
	put("bootstrap.servers", strings.Join(v.brokers, ","))
	put("security.protocol", v.protocol)
	if v.sasl() {
		mechanism, module := orElse(v.mechanism, "SCRAM-SHA-512"), "scram.ScramLoginModule"
		if mechanism == "PLAIN" {
			module = "plain.PlainLoginModule"
		}
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		put("sasl.mechanism", mechanism)
		put("sasl.jaas.config", fmt.Sprintf(`org.apache.kafka.common.security.%s required username="%s" password="%s";`,
			module, quote.Replace(v.user), quote.Replace(v.password)))
	}
	if v.tls() && v.authority {
		put("ssl.truststore.location", "client.jks")
		put("ssl.truststore.password", keystore.Password)
	}
	return b.String()
}

func (v values) goParts() []string {
	brokers := strings.TrimSuffix(strings.TrimPrefix(pythonList(v.brokers), "["), "]")
	brokers = strings.ReplaceAll(brokers, `","`, `", "`)
	var std, after, imports, setup, options string
	if v.tls() {
		std = "\t\"crypto/tls\"\n"
		options += "\t\tkgo.DialTLSConfig(&tls.Config{}),\n"
	}
	if v.tls() && v.authority {
		std += "\t\"crypto/x509\"\n"
		after = "\t\"os\"\n"
		setup = `	authority, err := os.ReadFile("phy_ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
`
		options = strings.Replace(options, "tls.Config{}", "tls.Config{RootCAs: roots}", 1)
	}
	if v.sasl() {
		auth, method, pkg := "scram.Auth", "AsSha512Mechanism", "scram"
		switch v.mechanism {
		case "PLAIN":
			auth, method, pkg = "plain.Auth", "AsMechanism", "plain"
		case "SCRAM-SHA-256":
			method = "AsSha256Mechanism"
		}
		imports = "\t\"github.com/twmb/franz-go/pkg/sasl/" + pkg + "\"\n"
		options += fmt.Sprintf("\t\tkgo.SASL(%s{User: %q, Pass: %q}.%s()),\n", auth, v.user, v.password, method)
	}
	return []string{
		"{{.GoStd}}", std, "{{.GoStdAfter}}", after, "{{.GoImports}}", imports,
		"{{.GoBrokers}}", brokers, "{{.GoSetup}}", setup, "{{.GoOptions}}", options,
	}
}
