package config

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

func show(listeners []Listener) string {
	var text []string
	for _, l := range listeners {
		one := fmt.Sprintf("%s %s %s:%d", l.Name, l.Protocol, l.Host, l.Port)
		if l.Advertised != nil {
			one += fmt.Sprintf(" as %s:%d", l.Advertised.Host, l.Advertised.Port)
		}
		text = append(text, one)
	}
	return strings.Join(text, ", ")
}

func TestListeners(t *testing.T) {
	tests := []struct {
		name   string
		secure bool
		flags  []string
		want   string
	}{
		{"by default", false, nil, "PLAINTEXT PLAINTEXT 127.0.0.1:9092"},
		{"by default, secure", true, nil, "PLAINTEXT PLAINTEXT 127.0.0.1:9092, SASL_PLAINTEXT SASL_PLAINTEXT 127.0.0.1:9094, SASL_SSL SASL_SSL :9093"},
		{"named by their user", true, []string{
			"listeners=IN://[::1]:1,out://0.0.0.0:0",
			"listener.security.protocol.map=IN:PLAINTEXT, OUT:sasl_ssl",
			"advertised.listeners=OUT://kafka.example.org:443",
		}, "IN PLAINTEXT ::1:1, OUT SASL_SSL 0.0.0.0:0 as kafka.example.org:443"},
		{"advertised for a secure one only", false, []string{"advertised.listeners=SASL_SSL://k:1"}, "PLAINTEXT PLAINTEXT 127.0.0.1:9092"},
		{"any port twice", false, []string{"listeners=PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0"}, "PLAINTEXT PLAINTEXT 127.0.0.1:0, SSL SSL 127.0.0.1:0"},
	}
	for _, test := range tests {
		got, err := mustLoad(t, test.flags...).Listeners(test.secure)
		if err != nil || show(got) != test.want {
			t.Errorf("%s: %s, %v; want %s", test.name, show(got), err, test.want)
		}
	}
}

func TestListenersThatCannotBe(t *testing.T) {
	tests := []struct {
		flags []string
		want  string
	}{
		{[]string{"listeners=X://:1"}, "listener X has no protocol"},
		{[]string{"listeners=PLAINTEXT://:1,PLAINTEXT://:2"}, "named twice"},
		{[]string{"listeners=PLAINTEXT://:1,SSL://:1"}, "have the same port 1"},
		{[]string{"listeners=PLAINTEXT://:70000"}, "0 to 65535"},
		{[]string{"listeners=PLAINTEXT://::1:90"}, "needs brackets"},
		{[]string{"listeners=PLAINTEXT://[::1:90"}, "bracket"},
		{[]string{"listeners=9092"}, "is not NAME://host:port"},
		{[]string{"listener.security.protocol.map=A:TLS"}, "the protocol must be one of"},
		{[]string{"listeners=PLAINTEXT://:1", "advertised.listeners=SSL://a:1"}, "there is no listener SSL"},
		{[]string{"advertised.listeners=PLAINTEXT://0.0.0.0:1"}, "no address that a client can dial"},
		{[]string{"advertised.listeners=PLAINTEXT://:1"}, "needs a host"},
	}
	for _, test := range tests {
		_, _, err := load(t, "", nil, test.flags...)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "command line") {
			t.Errorf("%v: says %v, want %q and its origin", test.flags, err, test.want)
		}
	}
}

func TestAListenersOwnKeysBeatTheInstances(t *testing.T) {
	b := mustLoad(t,
		"listeners=SASL_SSL://:1,REAUTH://:2",
		"listener.security.protocol.map=SASL_SSL:SASL_SSL,REAUTH:SASL_PLAINTEXT",
		"sasl.enabled.mechanisms=PLAIN",
		"listener.name.REAUTH.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.reauth.connections.max.reauth.ms=2500",
		"listener.name.sasl_ssl.ssl.keystore.location=/k.pem",
		"listener.name.sasl_ssl.ssl.keystore.type=PEM",
		"listener.name.sasl_ssl.ssl.enabled.protocols=TLSv1.2",
		"listener.name.reauth.ssl.enabled.protocols=TLSv1.2",
		"ssl.enabled.protocols=TLSv1.3")
	listeners, err := b.Listeners(true)
	if err != nil {
		t.Fatal(err)
	}
	secure, reauth := listeners[0], listeners[1]
	if fmt.Sprint(secure.Mechanisms) != "[PLAIN]" || secure.Reauth != 0 {
		t.Errorf("SASL_SSL has %v and %v, want the instance's", secure.Mechanisms, secure.Reauth)
	}
	if secure.TLS != (TLS{KeystoreLocation: "/k.pem", KeystoreType: "PEM", MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}) {
		t.Errorf("SASL_SSL has TLS %+v", secure.TLS)
	}
	if fmt.Sprint(reauth.Mechanisms) != "[SCRAM-SHA-256 SCRAM-SHA-512]" || reauth.Reauth != 2500*time.Millisecond {
		t.Errorf("REAUTH has %v and %v, want its own", reauth.Mechanisms, reauth.Reauth)
	}
}

func TestWhatOthersReachMustBeProtected(t *testing.T) {
	tests := []struct {
		listeners string
		open      bool
	}{
		{"PLAINTEXT://127.0.0.1:1", false},
		{"PLAINTEXT://localhost:1", false},
		{"PLAINTEXT://[::1]:1,SASL_SSL://:2", false},
		{"PLAINTEXT://:1", true},
		{"PLAINTEXT://[::]:1", true},
		{"SASL_PLAINTEXT://10.0.0.1:1", true},
		{"SSL://example.org:1", true},
	}
	for _, test := range tests {
		listeners, err := mustLoad(t, "listeners="+test.listeners).Listeners(true)
		if err != nil {
			t.Fatal(err)
		}
		err = Protect(listeners)
		if (err != nil) != test.open {
			t.Errorf("%s: %v, want an error: %t", test.listeners, err, test.open)
		}
		if err != nil && !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s: %v does not say what to do", test.listeners, err)
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	for _, seed := range []string{"PLAINTEXT://:9092", "A://[::1]:1", "a://b:c", "://:", "X://[]:0", "é://host:65535"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEndpoint(text)
		if err != nil {
			return
		}
		host := e.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		again, err := ParseEndpoint(fmt.Sprintf("%s://%s:%d", e.Name, host, e.Port))
		if err != nil || again != e {
			t.Errorf("%q is %+v, and read again %+v, %v", text, e, again, err)
		}
	})
}
