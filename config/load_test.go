package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, file string, env []string, flags ...string) (*Broker, []Warning, error) {
	t.Helper()
	from := Given{Env: env}
	if file != "" {
		from.File = filepath.Join(t.TempDir(), "server.properties")
		if err := os.WriteFile(from.File, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, flag := range flags {
		key, value, _ := strings.Cut(flag, "=")
		from.Flags = append(from.Flags, KeyValue{key, value})
	}
	return Load(from)
}

func mustLoad(t *testing.T, flags ...string) *Broker {
	t.Helper()
	b, _, err := load(t, "", nil, flags...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFlagsBeatEnvironmentBeatsFile(t *testing.T) {
	b, warnings, err := load(t,
		"num.partitions=2\nmessage.max.bytes=2000\nlog.dirs=/file\n",
		[]string{"MILENA_NUM_PARTITIONS=3", "MILENA_MESSAGE_MAX_BYTES=3000", "KAFKA_NUM_PARTITIONS=9", "MILENA_BROKERS=x:1"},
		"num.partitions=4")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("err %v, warnings %v", err, warnings)
	}
	if n := b.Int("num.partitions"); n != 4 {
		t.Errorf("num.partitions is %d, want the flag's 4", n)
	}
	if n := b.Int("message.max.bytes"); n != 3000 {
		t.Errorf("message.max.bytes is %d, want the environment's 3000", n)
	}
	if dir := b.String("log.dirs"); dir != "/file" {
		t.Errorf("log.dirs is %q, want the file's", dir)
	}
}

func TestEnvironmentNamesFollowTheImageRule(t *testing.T) {
	for name, want := range map[string]string{
		"MILENA_AUTO_CREATE_TOPICS_ENABLE":                    "auto.create.topics.enable",
		"MILENA_LISTENER_NAME_SASL__SSL_SSL_KEYSTORE_TYPE":    "listener.name.sasl_ssl.ssl.keystore.type",
		"MILENA_LISTENER_NAME_A_SCRAM___SHA___256_SASL_JAAS_": "listener.name.a.scram-sha-256.sasl.jaas.",
	} {
		if got, ok := envKey(name); !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"KAFKA_X", "MILENA_", "MILENA_PASSWORD", "PATH"} {
		if key, ok := envKey(name); ok {
			t.Errorf("%s is taken for the key %q", name, key)
		}
	}
}

func TestWhatIsWrongIsNamedWithItsOrigin(t *testing.T) {
	tests := []struct {
		name, file string
		env        []string
		flag, want string
	}{
		{"a number", "a.key=1\nnum.partitions=many\n", nil, "", "server.properties, line 2: Invalid value many for configuration num.partitions: Not a number of type INT; allowed: at least 1"},
		{"a range", "", []string{"MILENA_SCRAM_ITERATIONS=1"}, "", "environment MILENA_SCRAM_ITERATIONS: Invalid value 1 for configuration scram.iterations: Value must be at least 4096; allowed: 4096 to 16384"},
		{"a word", "", nil, "durability=never", "command line: Invalid value never for configuration durability: String must be one of: disk, os; allowed: one of disk, os"},
		{"a boolean", "", nil, "auto.create.topics.enable=maybe", "Expected value to be either true or false; allowed: a boolean"},
		{"an authorizer", "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n", nil, "", "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer is refused: There are no ACLs yet"},
		{"client certificates", "", nil, "ssl.client.auth=required", "Certificates of clients are not looked at yet"},
		{"a listener's client certificates", "", nil, "listener.name.sasl_ssl.ssl.client.auth=required", "Certificates of clients are not looked at yet"},
		{"closed by default", "", nil, "allow.everyone.if.no.acl.found=false", "There are no ACLs yet"},
		{"Kerberos", "", nil, "sasl.kerberos.service.name=kafka", "There is no Kerberos"},
		{"a secret is not shown", "", nil, "listener.name.x.plain.sasl.jaas.config=user_alice=\"pw-1\"", "listener.name.x.plain.sasl.jaas.config=[hidden] is refused"},
		{"a superuser without its kind", "", nil, "super.users=admin", "Principals must be User:name"},
		{"a mechanism", "", nil, "sasl.enabled.mechanisms=GSSAPI", "String must be one of: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"},
		{"a listener without a port", "", nil, "listeners=PLAINTEXT://localhost", `"PLAINTEXT://localhost" has no port`},
		{"bad escapes", "a=\\u12g4\n", nil, "", "line 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var flags []string
			if test.flag != "" {
				flags = []string{test.flag}
			}
			_, _, err := load(t, test.file, test.env, flags...)
			if err == nil {
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("says %q, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "pw-1") {
				t.Errorf("the secret is shown: %v", err)
			}
		})
	}
}

func TestAllThatIsWrongIsNamedAtOnce(t *testing.T) {
	_, _, err := load(t, "", nil, "num.partitions=0", "durability=x")
	if err == nil || !strings.Contains(err.Error(), "num.partitions") || !strings.Contains(err.Error(), "durability") {
		t.Errorf("says %v, want both keys", err)
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ flag, want string }{
		{"num.partition=3", "unknown key, it has no effect; did you mean num.partitions?"},
		{"confluent.balancer.enable=true", "unknown key, it has no effect"},
		{"num.io.threads=8", "accepted, not needed here: Go schedules"},
		{"zookeeper.connect=localhost:2181", "There is no ZooKeeper."},
		{"controller.quorum.voters=1@localhost:9093", "There is no separate controller."},
		{"offsets.topic.replication.factor=3", "Offsets live in the instance's own logs"},
		{"compression.type=zstd", "stored, no effect yet"},
		{"broker.rack=a", "stored, no effect yet"},
		{"listener.name.x.max.connections=5", "max.connections is the same for all listeners"},
	}
	for _, test := range tests {
		_, warnings, err := load(t, "", nil, test.flag)
		if err != nil {
			t.Errorf("%s: %v", test.flag, err)
			continue
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0].Text, test.want) {
			t.Errorf("%s: warned %v, want %q", test.flag, warnings, test.want)
		}
	}
}

func TestARealServerPropertiesStarts(t *testing.T) {
	file := `# The role of this server
process.roles=broker,controller
node.id=7
controller.quorum.voters=7@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`
	b, warnings, err := load(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if strings.Contains(w.Text, "unknown") {
			t.Errorf("does not know %s", w)
		}
	}
	listeners, err := b.Listeners(false)
	if err != nil || len(listeners) != 1 || listeners[0].Name != "PLAINTEXT" {
		t.Errorf("opens %v, %v; want PLAINTEXT alone", listeners, err)
	}
	if id := b.Int("node.id"); id != 7 {
		t.Errorf("node.id is %d, want 7", id)
	}
}

func TestSynonymsStandIn(t *testing.T) {
	b := mustLoad(t, "log.dir=/old", "broker.id=5")
	if b.String("log.dirs") != "/old" || b.Int("node.id") != 5 {
		t.Errorf("log.dirs %q, node.id %d; want the older keys' values", b.String("log.dirs"), b.Int("node.id"))
	}
	b = mustLoad(t, "log.dir=/old", "log.dirs=/new")
	if b.String("log.dirs") != "/new" {
		t.Errorf("log.dirs is %q, want its own value", b.String("log.dirs"))
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	if _, _, err := Load(Given{File: filepath.Join(t.TempDir(), "none.properties")}); err == nil {
		t.Error("it was passed over")
	}
}

func TestTimesAreClampedNotWrapped(t *testing.T) {
	b := mustLoad(t, "connections.max.idle.ms="+never)
	if d := b.Millis("connections.max.idle.ms"); d < 100*365*24*time.Hour {
		t.Errorf("never is %v", d)
	}
}

func TestSuperUsers(t *testing.T) {
	got := mustLoad(t, "super.users=User:ANONYMOUS; User:admin;").SuperUsers()
	if strings.Join(got, "|") != "ANONYMOUS|admin" {
		t.Errorf("super users are %q", got)
	}
}

func TestEveryDefaultIsValid(t *testing.T) {
	for _, k := range Keys() {
		if k.Unset || k.Effect == Refused {
			continue
		}
		if err := k.Check(k.Default); err != nil {
			t.Errorf("the default of %s: %v", k.Name, err)
		}
	}
}

func TestEveryRowIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		id := k.Name
		if k.Scope == OfTopic {
			id = "topic " + id
		}
		if seen[id] {
			t.Errorf("%s stands twice", id)
		}
		seen[id] = true
		if k.Doc == "" || k.Type == 0 {
			t.Errorf("%s has no doc or type", id)
		}
		if k.Effect != Honoured && k.Why == "" {
			t.Errorf("%s has no effect and does not say why", id)
		}
		for _, s := range k.Synonyms {
			if BrokerKey(s) == nil {
				t.Errorf("%s: its synonym %s has no row", id, s)
			}
		}
	}
}

// A key that is said to be honoured must be read somewhere.
func TestWhatIsHonouredIsReadSomewhere(t *testing.T) {
	source := allSource(t)
	behind := map[string]bool{} // keys that are read as another's synonym
	for _, k := range Keys() {
		if k.Effect == Honoured {
			for _, s := range k.Synonyms {
				behind[s] = true
			}
		}
	}
	for _, k := range Keys() {
		if k.Effect != Honoured || behind[k.Name] || strings.HasPrefix(k.Allowed.Text, "only ") {
			continue
		}
		if !strings.Contains(source, `"`+k.Name+`"`) {
			t.Errorf("%s is said to be honoured, and nobody reads it", k.Name)
		}
	}
}

// allSource is the program without its tests and without the table.
func allSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != ".." && strings.HasPrefix(name, ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_keys.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
