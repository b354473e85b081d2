// Package keystore makes and keeps what TLS needs: a private CA, a server
// certificate with every name that clients use, and the files that clients load.
//
// In the directory tls/ lie ca.crt, ca.key, server.crt and server.key, PEM, mode
// 0600. Clients get phy_ca.crt (the root), client.jks and client.p12 (the same
// root for Java, password dms@kafka) and client.properties.
//
// What holds always: keys never leave the directory; a certificate is renewed
// before it ends and when a name is missing; what is loaded anew is checked
// first, and the old one stays if it is bad.
package keystore
