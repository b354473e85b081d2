//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clientFiles starts a secure instance and writes the files that clients load.
func clientFiles(t *testing.T) (i *instance, dir string) {
	t.Helper()
	i = secure(t)
	dir = filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command(binary, "connect", "--data", i.dir, "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("connect: %v\n%s", err, out)
	}
	return i, dir
}

// says runs a tool that must succeed, and wants words in what it prints.
func says(t *testing.T, stdin string, command []string, words ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, command[0]), command[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "JAVA_TOOL_OPTIONS=-Duser.language=en")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
	for _, word := range words {
		if !strings.Contains(string(out), word) {
			t.Errorf("%s does not say %q:\n%s", strings.Join(command, " "), word, out)
		}
	}
	return string(out)
}

// fingerprint is of the first certificate of a PEM file, as tools print it.
func fingerprint(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		t.Fatalf("%s is not one PEM certificate:\n%s", file, text)
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprintf("% X", sha256.Sum256(block.Bytes)), " ", ":"), ":")
}

// OpenSSL's strict checks are those of Python from 3.13 on.
func TestA11OpenSSLTakesTheCertificatesStrictly(t *testing.T) {
	i, dir := clientFiles(t)
	ca, server := filepath.Join(dir, "phy_ca.crt"), filepath.Join(i.dir, "tls", "server.crt")
	says(t, "", []string{"openssl", "verify", "-x509_strict", "-CAfile", ca, ca}, ": OK")
	for _, name := range [][]string{{"-verify_hostname", "localhost"}, {"-verify_ip", "127.0.0.1"}, {"-verify_ip", "::1"}} {
		says(t, "", append(append([]string{"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca}, name...), server), ": OK")
	}
	says(t, "", []string{"openssl", "x509", "-in", ca, "-noout", "-text"},
		"CA:TRUE", "X509v3 Basic Constraints: critical", "X509v3 Key Usage: critical", "Certificate Sign", "X509v3 Subject Key Identifier", "X509v3 Authority Key Identifier")
}

func TestA11ClientsSpeakTLS12And13AndNothingOlder(t *testing.T) {
	i, dir := clientFiles(t)
	ca, address := filepath.Join(dir, "phy_ca.crt"), i.addr["SASL_SSL"]
	for flag, name := range map[string]string{"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"} {
		says(t, "", []string{"openssl", "s_client", flag, "-connect", address, "-servername", "localhost", "-verify_hostname", "localhost",
			"-CAfile", ca, "-x509_strict", "-verify_return_error", "-brief"}, name, "Verification: OK")
	}
	before := strings.Count(i.log.String(), "connection closed")
	out, err := exec.Command(tool(t, "openssl"), "s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-connect", address).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "alert protocol version") {
		t.Errorf("TLS 1.1: %v\n%s", err, out)
	}
	deadline := time.Now().Add(10 * time.Second)
	for strings.Count(i.log.String(), "connection closed") == before && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if lines := strings.Count(i.log.String(), "connection closed") - before; lines != 1 || !strings.Contains(i.log.String(), "unsupported versions") {
		t.Errorf("%d lines of it", lines)
	}
}

func TestA11PythonTakesTheCertificatesStrictly(t *testing.T) {
	i, dir := clientFiles(t)
	_, port, err := net.SplitHostPort(i.addr["SASL_SSL"])
	if err != nil {
		t.Fatal(err)
	}
	program := `
import socket, ssl, sys
for name in "localhost", "127.0.0.1", "::1":
    context = ssl.create_default_context(cafile=sys.argv[1])
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            print(name, secure.version())
`
	says(t, program, []string{"py/bin/python", "-", filepath.Join(dir, "phy_ca.crt"), port}, "localhost TLSv1.3", "127.0.0.1 TLSv1.3", "::1 TLSv1.3")
}

func TestA13TruststoresHoldTheRoot(t *testing.T) {
	_, dir := clientFiles(t)
	want := fingerprint(t, filepath.Join(dir, "phy_ca.crt"))
	for file, kind := range map[string]string{"client.jks": "JKS", "client.p12": "PKCS12"} {
		out := says(t, "", []string{"keytool", "-list", "-keystore", filepath.Join(dir, file), "-storetype", kind, "-storepass", "dms@kafka"},
			"trustedCertEntry", want, "contains 1 entry")
		if strings.Contains(out, "PrivateKeyEntry") {
			t.Errorf("%s holds a key:\n%s", file, out)
		}
		// as Java finds out by itself what it is
		says(t, "", []string{"keytool", "-list", "-keystore", filepath.Join(dir, file), "-storepass", "dms@kafka"}, want)
		wrong := exec.Command(tool(t, "keytool"), "-list", "-keystore", filepath.Join(dir, file), "-storepass", "another")
		if out, err := wrong.CombinedOutput(); err == nil {
			t.Errorf("%s opens with another password:\n%s", file, out)
		}
	}
	pemText := says(t, "", []string{"openssl", "pkcs12", "-in", filepath.Join(dir, "client.p12"), "-passin", "pass:dms@kafka", "-nokeys"}, "BEGIN CERTIFICATE")
	copied := filepath.Join(t.TempDir(), "copy.crt")
	write(t, copied, pemText[strings.Index(pemText, "-----BEGIN"):])
	says(t, "", []string{"openssl", "x509", "-in", copied, "-noout", "-fingerprint", "-sha256"}, want)
}

// An operator replaces the certificate, and sends the signal.
func TestAHangUpShowsTheNewCertificate(t *testing.T) {
	i, dir := clientFiles(t)
	ca, server := filepath.Join(dir, "phy_ca.crt"), filepath.Join(i.dir, "tls", "server.crt")
	serial := func() string {
		return says(t, "", []string{"openssl", "x509", "-in", server, "-noout", "-serial"}, "serial=")
	}
	before := serial()
	if err := os.Remove(server); err != nil {
		t.Fatal(err)
	}
	if err := i.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(i.log.String(), "certificate loaded anew"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no certificate is loaded anew")
		}
	}
	if serial() == before {
		t.Error("the certificate is the old one")
	}
	says(t, "", []string{"openssl", "s_client", "-connect", i.addr["SASL_SSL"], "-servername", "localhost", "-CAfile", ca, "-verify_return_error"},
		"Verify return code: 0 (ok)")
	i.stop()
}
