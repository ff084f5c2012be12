// Package mailtest is a mail server for tests: it speaks SMTP on a real
// connection, with TLS and passwords, and keeps what it is given. It delivers
// nothing.
package mailtest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// Options are what kind of server it is.
type Options struct {
	// STARTTLS offers it, Implicit begins with it. Neither: clear text.
	STARTTLS, Implicit bool
	// Mechanisms is what AUTH offers, such as "PLAIN"; User and Password are
	// what is right.
	Mechanisms, User, Password string
	// Answer replaces the answer to a command, such as "RCPT", when it is not
	// empty.
	Answer func(command string) string
}

// Server is such a server. It ends with the test.
type Server struct {
	Host string
	Port int
	// CAs vouch for it, and so does PEM.
	CAs *x509.CertPool
	PEM []byte

	o     Options
	cert  tls.Certificate
	mails chan Mail
}

// Mail is what the server was given.
type Mail struct {
	From, To string
	// Secure says that the connection was encrypted, User who logged in.
	Secure  bool
	User    string
	Header  mail.Header
	Subject string
	Text    string
}

// Start starts one on a port of this machine.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{Host: "127.0.0.1", o: o, mails: make(chan Mail, 1000)}
	s.certify(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// Next is the next mail.
func (s *Server) Next(t testing.TB) Mail {
	t.Helper()
	select {
	case m := <-s.mails:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no mail came")
		return Mail{}
	}
}

// None checks that nothing has come so far.
func (s *Server) None(t testing.TB) {
	t.Helper()
	select {
	case m := <-s.mails:
		t.Fatalf("a mail came: %+v", m)
	default:
	}
}

func (s *Server) certify(t testing.TB) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mailtest"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(s.Host)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	s.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.CAs = x509.NewCertPool()
	s.CAs.AppendCertsFromPEM(s.PEM)
}

// dialogue is one connection.
type dialogue struct {
	s    *Server
	conn net.Conn
	in   *bufio.Reader
	mail Mail
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	d := &dialogue{s: s, conn: conn}
	if s.o.Implicit {
		d.secure()
	}
	d.in = bufio.NewReader(d.conn)
	d.say("220 mailtest")
	for {
		line, err := d.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		command, _, _ := strings.Cut(strings.ToUpper(line), " ")
		if s.o.Answer != nil {
			if answer := s.o.Answer(command); answer != "" {
				d.say(answer)
				continue
			}
		}
		if !d.obey(command, line) {
			return
		}
	}
}

func (d *dialogue) say(line string) { fmt.Fprintf(d.conn, "%s\r\n", line) }

func (d *dialogue) secure() {
	d.conn = tls.Server(d.conn, &tls.Config{Certificates: []tls.Certificate{d.s.cert}})
	d.mail.Secure = true
}

func (d *dialogue) obey(command, line string) bool {
	switch command {
	case "EHLO", "HELO":
		d.hello()
	case "STARTTLS":
		d.say("220 go on")
		d.secure()
		d.in = bufio.NewReader(d.conn)
	case "AUTH":
		d.auth(strings.Fields(line))
	case "MAIL":
		if d.s.o.User != "" && d.mail.User == "" {
			d.say("530 log in first")
			return true
		}
		d.mail.From = between(line)
		d.say("250 ok")
	case "RCPT":
		d.mail.To = between(line)
		d.say("250 ok")
	case "DATA":
		d.say("354 go on")
		return d.data()
	case "QUIT":
		d.say("221 bye")
		return false
	default:
		d.say("250 ok")
	}
	return true
}

func (d *dialogue) hello() {
	d.say("250-mailtest")
	if d.s.o.STARTTLS && !d.mail.Secure {
		d.say("250-STARTTLS")
	}
	if d.s.o.Mechanisms != "" {
		d.say("250-AUTH " + d.s.o.Mechanisms)
	}
	d.say("250 8BITMIME")
}

func (d *dialogue) auth(words []string) {
	decode := func(text string) string { b, _ := base64.StdEncoding.DecodeString(text); return string(b) }
	ask := func(what string) string {
		d.say("334 " + base64.StdEncoding.EncodeToString([]byte(what)))
		line, _ := d.in.ReadString('\n')
		return decode(strings.TrimSpace(line))
	}
	var user, password string
	switch {
	case len(words) == 3 && words[1] == "PLAIN":
		if parts := strings.Split(decode(words[2]), "\x00"); len(parts) == 3 {
			user, password = parts[1], parts[2]
		}
	case len(words) == 2 && words[1] == "LOGIN":
		user, password = ask("Username:"), ask("Password:")
	}
	if user == "" || user != d.s.o.User || password != d.s.o.Password {
		d.say("535 wrong")
		return
	}
	d.mail.User = user
	d.say("235 welcome")
}

func (d *dialogue) data() bool {
	var raw strings.Builder
	for {
		line, err := d.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	m, err := mail.ReadMessage(strings.NewReader(raw.String()))
	if err != nil {
		d.say("554 not a mail")
		return true
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		d.say("554 not quoted-printable")
		return true
	}
	d.mail.Header, d.mail.Text = m.Header, strings.ReplaceAll(string(text), "\r\n", "\n")
	d.mail.Subject, _ = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	d.s.mails <- d.mail
	d.say("250 taken")
	return true
}

// between is what stands between < and >.
func between(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	address, _, _ := strings.Cut(rest, ">")
	return address
}
