package wire

import (
	"net"
	"testing"

	"milena/api"
	"milena/config"
)

func TestAClientIsToldWhereItReachesUs(t *testing.T) {
	fixed := func(host string, port int) *config.Advertised { return &config.Advertised{Host: host, Port: port} }
	for _, tt := range []struct {
		name  string
		fixed *config.Advertised
		sni   string
		local string
		want  api.Address
	}{
		{"loopback is localhost", nil, "", "127.0.0.1", api.Address{Host: "localhost", Port: 9093}},
		{"all of it", nil, "", "127.8.9.1", api.Address{Host: "localhost", Port: 9093}},
		{"mapped into IPv6, too", nil, "", "::ffff:127.0.0.1", api.Address{Host: "localhost", Port: 9093}},
		{"IPv6's is not what localhost is first", nil, "", "::1", api.Address{Host: "::1", Port: 9093}},
		{"the socket's own address", nil, "", "192.0.2.7", api.Address{Host: "192.0.2.7", Port: 9093}},
		{"mapped into IPv6", nil, "", "::ffff:192.0.2.7", api.Address{Host: "192.0.2.7", Port: 9093}},
		{"of IPv6", nil, "", "2001:db8::7", api.Address{Host: "2001:db8::7", Port: 9093}},
		{"the name that TLS asked for", nil, "kafka.example.org", "192.0.2.7", api.Address{Host: "kafka.example.org", Port: 9093}},
		{"even on loopback", nil, "kafka.example.org", "127.0.0.1", api.Address{Host: "kafka.example.org", Port: 9093}},
		{"an address is no name", nil, "192.0.2.99", "192.0.2.7", api.Address{Host: "192.0.2.7", Port: 9093}},
		{"a fixed one wins", fixed("public.example.org", 19093), "kafka.example.org", "192.0.2.7", api.Address{Host: "public.example.org", Port: 19093}},
		{"a fixed one without a port has the bound one", fixed("public.example.org", 0), "", "127.0.0.1", api.Address{Host: "public.example.org", Port: 9093}},
		{"a fixed IPv6 address", fixed("2001:db8::8", 1), "", "127.0.0.1", api.Address{Host: "2001:db8::8", Port: 1}},
	} {
		local := &net.TCPAddr{IP: net.ParseIP(tt.local), Port: 9093}
		if got := address(tt.fixed, &net.TCPAddr{IP: net.IPv6unspecified, Port: 9093}, tt.sni, local); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
