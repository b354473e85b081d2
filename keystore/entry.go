package keystore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

// fromEntry makes a certificate of a Java keystore's entry.
func fromEntry(entry keystore.PrivateKeyEntry) (*tls.Certificate, error) {
	key, err := x509.ParsePKCS8PrivateKey(entry.PrivateKey)
	if err != nil {
		return nil, err
	}
	if len(entry.CertificateChain) == 0 {
		return nil, errors.New("its private key has no certificate")
	}
	c := &tls.Certificate{PrivateKey: key}
	for _, one := range entry.CertificateChain {
		c.Certificate = append(c.Certificate, one.Content)
	}
	c.Leaf, err = x509.ParseCertificate(c.Certificate[0])
	return c, err
}
