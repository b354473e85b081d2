package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

const storeMax = 8 << 20 // bytes of a trust or key store

// tlsConfig is the TLS that the connection flags and properties ask for.
func (k *connection) tlsConfig() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := k.roots()
	if err != nil {
		return nil, err
	}
	conf.RootCAs = roots
	if versions := k.set.get("ssl.enabled.protocols"); versions != "" {
		if conf.MinVersion, conf.MaxVersion, err = tlsVersions(versions); err != nil {
			return nil, err
		}
	}
	if err := k.clientCertificate(conf); err != nil {
		return nil, err
	}
	algorithm, given := k.set.values["ssl.endpoint.identification.algorithm"]
	switch {
	case k.set.get("ssl.verify") == "false":
		conf.InsecureSkipVerify = true
	case given && (algorithm == "" || algorithm == "none"):
		withoutName(conf)
	case given && algorithm != "https":
		return nil, fmt.Errorf("ssl.endpoint.identification.algorithm=%s: allowed are https and empty", algorithm)
	}
	return conf, nil
}

// withoutName checks the chain and not the name, as Java does when the
// identification algorithm is empty.
func withoutName(conf *tls.Config) {
	roots := conf.RootCAs
	conf.InsecureSkipVerify = true
	conf.VerifyConnection = func(state tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, cert := range state.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		return err
	}
}

func tlsVersions(list string) (low, high uint16, err error) {
	known := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	for _, name := range splitBrokers(list) {
		version, ok := known[name]
		if !ok {
			return 0, 0, fmt.Errorf("ssl.enabled.protocols=%s: allowed are TLSv1.2, TLSv1.3", list)
		}
		if low == 0 || version < low {
			low = version
		}
		high = max(high, version)
	}
	return low, high, nil
}

// roots are the authorities to trust; nil: the machine's.
func (k *connection) roots() (*x509.CertPool, error) {
	if inline := k.set.get("ssl.truststore.certificates"); inline != "" && k.ca == "" {
		return poolOfPEM([]byte(inline), "ssl.truststore.certificates")
	}
	location, kind, password := k.ca, "PEM", ""
	if location == "" {
		location, kind, password = k.set.get("ssl.truststore.location"), k.set.get("ssl.truststore.type"), k.set.get("ssl.truststore.password")
	}
	if location == "" {
		location = k.c.env("MILENA_CA")
	}
	if location == "" {
		return nil, nil
	}
	store, err := readStore(location)
	if err != nil {
		return nil, err
	}
	switch storeKind(kind, store) {
	case "PEM":
		return poolOfPEM(store, location)
	case "JKS":
		return poolOfJKS(store, location, password)
	case "PKCS12":
		return poolOfPKCS12(store, location, password)
	}
	return nil, fmt.Errorf("%s: ssl.truststore.type=%s: allowed are PEM, JKS, PKCS12", location, kind)
}

func readStore(location string) ([]byte, error) {
	info, err := os.Stat(location)
	if err != nil {
		return nil, err
	}
	if info.Size() > storeMax {
		return nil, fmt.Errorf("%s: %d bytes are too large for a store of certificates", location, info.Size())
	}
	return os.ReadFile(location)
}

// storeKind is what a store is: by its first bytes, for the type is often
// left at its default.
func storeKind(kind string, store []byte) string {
	switch {
	case bytes.Contains(store, []byte("-----BEGIN ")):
		return "PEM"
	case bytes.HasPrefix(store, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return "JKS"
	case bytes.HasPrefix(store, []byte{0x30}):
		return "PKCS12"
	}
	return strings.ToUpper(kind)
}

func poolOfPEM(text []byte, where string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate is in it", where)
	}
	return pool, nil
}

func poolOfJKS(store []byte, location, password string) (*x509.CertPool, error) {
	ks := keystore.New()
	if err := ks.Load(bytes.NewReader(store), []byte(password)); err != nil {
		return nil, fmt.Errorf("%s: %w (is ssl.truststore.password right?)", location, err)
	}
	pool, found := x509.NewCertPool(), false
	for _, alias := range ks.Aliases() {
		if !ks.IsTrustedCertificateEntry(alias) {
			continue
		}
		entry, err := ks.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, fmt.Errorf("%s: entry %s: %w", location, alias, err)
		}
		cert, err := x509.ParseCertificate(entry.Certificate.Content)
		if err != nil {
			return nil, fmt.Errorf("%s: entry %s: %w", location, alias, err)
		}
		pool.AddCert(cert)
		found = true
	}
	if !found {
		return nil, fmt.Errorf("%s: no trusted certificate is in it", location)
	}
	return pool, nil
}

func poolOfPKCS12(store []byte, location, password string) (*x509.CertPool, error) {
	certs, err := pkcs12.DecodeTrustStore(store, password)
	if err != nil {
		_, cert, chain, chainErr := pkcs12.DecodeChain(store, password)
		if chainErr != nil {
			return nil, fmt.Errorf("%s: %w (is ssl.truststore.password right?)", location, err)
		}
		certs = append(chain, cert)
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}

// clientCertificate loads a certificate to show to the broker, if one is named.
func (k *connection) clientCertificate(conf *tls.Config) error {
	certificate, key := []byte(k.set.get("ssl.keystore.certificate.chain")), []byte(k.set.get("ssl.keystore.key"))
	var err error
	switch location := k.set.get("ssl.keystore.location"); {
	case location != "":
		store, err := readStore(location)
		if err != nil {
			return err
		}
		if storeKind("", store) != "PEM" {
			return k.keyStoreOfPKCS12(conf, store, location)
		}
		certificate, key = store, store
	case k.set.has("ssl.certificate.location"):
		if certificate, err = readStore(k.set.get("ssl.certificate.location")); err != nil {
			return err
		}
		if key, err = readStore(k.set.get("ssl.key.location")); err != nil {
			return err
		}
	case len(certificate) == 0:
		return nil
	}
	if block, _ := pem.Decode(key); block != nil && strings.Contains(block.Type, "ENCRYPTED") {
		return errors.New("ssl.keystore.location: an encrypted PEM key is not understood; use PKCS12")
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("client certificate: %w", err)
	}
	conf.Certificates = []tls.Certificate{pair}
	return nil
}

func (k *connection) keyStoreOfPKCS12(conf *tls.Config, store []byte, location string) error {
	key, cert, chain, err := pkcs12.DecodeChain(store, k.set.get("ssl.keystore.password"))
	if err != nil {
		return fmt.Errorf("%s: %w (PEM and PKCS12 are understood)", location, err)
	}
	pair := tls.Certificate{PrivateKey: key, Certificate: [][]byte{cert.Raw}}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	conf.Certificates = []tls.Certificate{pair}
	return nil
}
