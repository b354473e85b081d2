package keystore

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// Password of client.jks and client.p12. They hold a public certificate, so it
// protects nothing; it is the one that clients of such instances expect.
const Password = "dms@kafka"

const caAlias = "milena-ca"

// JKS is the root as a Java truststore of the old kind, which every Java reads.
func JKS(ca []byte, now time.Time) ([]byte, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	store := keystore.New()
	err := store.SetTrustedCertificateEntry(caAlias, keystore.TrustedCertificateEntry{
		CreationTime: now, Certificate: keystore.Certificate{Type: "X509", Content: block.Bytes},
	})
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte(Password)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// P12 is the root as a PKCS #12 truststore.
func P12(ca []byte) ([]byte, error) {
	block, _ := pem.Decode(ca)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return pkcs12.Modern.EncodeTrustStoreEntries([]pkcs12.TrustStoreEntry{{Cert: cert, FriendlyName: caAlias}}, Password)
}

// Properties is a client.properties for Java's clients and tools.
func Properties(protocol, mechanism, user string, withTLS bool) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "security.protocol=%s\n", protocol)
	if mechanism != "" {
		module := "org.apache.kafka.common.security.scram.ScramLoginModule"
		if mechanism == "PLAIN" {
			module = "org.apache.kafka.common.security.plain.PlainLoginModule"
		}
		fmt.Fprintf(&b, "sasl.mechanism=%s\n", mechanism)
		fmt.Fprintf(&b, "# put the password in the place of PASSWORD\nsasl.jaas.config=%s required username=\"%s\" password=\"PASSWORD\";\n", module, user)
	}
	if withTLS {
		fmt.Fprintf(&b, "ssl.truststore.location=client.jks\nssl.truststore.password=%s\n", Password)
	}
	return b.Bytes()
}
