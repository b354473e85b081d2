package keystore

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

func TestClientsFilesHoldTheRoot(t *testing.T) {
	s := made(t, t.TempDir(), midnight)
	jks, err := JKS(s.CA(), midnight)
	if err != nil {
		t.Fatal(err)
	}
	store := keystore.New()
	if err := store.Load(bytes.NewReader(jks), []byte("dms@kafka")); err != nil {
		t.Fatal(err)
	}
	entry, err := store.GetTrustedCertificateEntry(caAlias)
	if err != nil || !bytes.Equal(entry.Certificate.Content, s.ca.Raw) || len(store.Aliases()) != 1 {
		t.Errorf("client.jks: %v, %v", store.Aliases(), err)
	}
	p12, err := P12(s.CA())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(p12, "dms@kafka")
	if err != nil || len(certs) != 1 || !certs[0].Equal(s.ca) {
		t.Errorf("client.p12: %d certificates, %v", len(certs), err)
	}
	for _, bad := range []string{"", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := P12([]byte(bad)); err == nil {
			t.Errorf("client.p12 is made of %q", bad)
		}
	}
	if _, err := JKS([]byte("hello"), midnight); err == nil {
		t.Error("client.jks is made of nothing")
	}
}

func TestPropertiesSayHowToSignIn(t *testing.T) {
	for _, tt := range []struct {
		protocol, mechanism string
		tls                 bool
		want                []string
	}{
		{"PLAINTEXT", "", false, []string{"security.protocol=PLAINTEXT"}},
		{"SASL_PLAINTEXT", "PLAIN", false, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN",
			`sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="PASSWORD";`}},
		{"SASL_SSL", "SCRAM-SHA-512", true, []string{"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512",
			`sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="PASSWORD";`,
			"ssl.truststore.location=client.jks", "ssl.truststore.password=dms@kafka"}},
	} {
		var got []string
		for line := range strings.Lines(string(Properties(tt.protocol, tt.mechanism, "alice", tt.tls))) {
			if !strings.HasPrefix(line, "#") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s %s:\n%s", tt.protocol, tt.mechanism, strings.Join(got, "\n"))
		}
	}
}
