//go:build e2e

package e2e

import (
	"crypto/tls"
	"testing"
)

// The page's programs take what the broker offers: with one version allowed,
// that one is spoken, and no other.
func TestA11ThePagesProgramsRunOverEveryTLSVersion(t *testing.T) {
	for name, version := range map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			i := secure(t, "-c", "listener.name.sasl_ssl.ssl.enabled.protocols="+name)
			for other := uint16(tls.VersionTLS10); other <= tls.VersionTLS13; other++ {
				conn, err := tls.Dial("tcp", i.addr["SASL_SSL"], &tls.Config{MinVersion: other, MaxVersion: other, InsecureSkipVerify: true})
				if (err == nil) != (other == version) {
					t.Errorf("%s on a listener of %s: %v", tls.VersionName(other), name, err)
				}
				if err == nil {
					conn.Close()
				}
			}
			i.runsThePage(t, i.certificate(), way{
				protocol: "SASL_SSL", mechanism: "PLAIN", servers: []string{i.addr["SASL_SSL"]},
				topic: "tls", group: "tls", user: "admin", password: password,
			})
		})
	}
}
