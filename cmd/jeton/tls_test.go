package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// pair NAME writes cert.pem and key.pem of a certificate with that common
// name.
func pairCmd(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(writePair(args[0], ts.MkAbs))
}

func writePair(commonName string, place func(name string) string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: commonName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(place(name), pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// dial writes the common name of the certificate at $URL.
func dialCmd(ts *testscript.TestScript, neg bool, args []string) {
	conn, err := tls.Dial("tcp", strings.TrimPrefix(ts.Getenv("URL"), "https://"), &tls.Config{InsecureSkipVerify: true})
	ts.Check(err)
	defer conn.Close()
	fmt.Fprintln(ts.Stdout(), conn.ConnectionState().PeerCertificates[0].Subject.CommonName)
}
