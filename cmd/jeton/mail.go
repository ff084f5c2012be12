package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"jeton/accounts"
	"jeton/mail"
	"jeton/storage"
)

// mails are the settings of mail to users.
func mails() []setting {
	return []setting{
		{name: "smtp-host", help: "the mail server that mails to users go through; without one none are sent",
			value: func(s *Settings) pflag.Value { return &s.SMTPHost }},
		{name: "smtp-port", def: "587", help: "its port: 587 for starttls, 465 for implicit",
			value: func(s *Settings) pflag.Value { return &s.SMTPPort }},
		{name: "smtp-tls", def: mail.STARTTLS, help: "how the connection to it is encrypted; off only on this machine",
			value: func(s *Settings) pflag.Value {
				s.SMTPTLS.of = []string{mail.STARTTLS, mail.Implicit, mail.Off}
				return &s.SMTPTLS
			}},
		{name: "smtp-user", help: "the name to log in to it with",
			value: func(s *Settings) pflag.Value { return &s.SMTPUser }},
		{name: "smtp-password-file", help: "the password that goes with it; read again for each mail",
			value: func(s *Settings) pflag.Value { return &s.SMTPPasswordFile }},
		{name: "smtp-ca-file", help: "certificates (PEM) that vouch for the mail server, in place of the system's",
			value: func(s *Settings) pflag.Value { return &s.SMTPCAFile }},
		{name: "mail-from", help: "the sender of mails: login@example.com, or Example <login@example.com>",
			value: func(s *Settings) pflag.Value { return &s.MailFrom }},
	}
}

// The bounds of a link that opens an account: time enough for a mail to arrive,
// and no more than a day.
const (
	leastResetTTL = storage.Duration(time.Minute)
	mostResetTTL  = storage.Duration(storage.Day)
)

// checkMail reports what is wrong with the settings of mail.
func (s *Settings) checkMail(wrong *faults) {
	add := func(name, format string, args ...any) { wrong.add(s.source(name), format, args...) }
	if s.ResetLinkTTL < leastResetTTL || s.ResetLinkTTL > mostResetTTL {
		add("reset-link-ttl", "%s is not between %s and %s", s.ResetLinkTTL, leastResetTTL, mostResetTTL)
	}
	if s.SMTPHost == "" {
		for _, row := range mails() {
			// What config print wrote down of a server without mail is no wish for any.
			if row.name != "smtp-host" && s.origin[row.name] != "" && row.value(s).String() != row.def {
				add(row.name, "no mail is sent without a mail server: give --smtp-host, or leave this out")
			}
		}
		return
	}
	if host := s.SMTPHost.String(); strings.ContainsAny(host, "/ @") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		add("smtp-host", "%q is not a host name: give the port with --smtp-port", host)
	}
	if s.SMTPPort < 1 || s.SMTPPort > 65535 {
		add("smtp-port", "%d is not a port: 587 for starttls, 465 for implicit", s.SMTPPort)
	}
	if s.SMTPTLS.word == mail.Off && !isLoopback(s.SMTPHost.String()) {
		add("smtp-tls", "links that open accounts would travel in clear text: use starttls or implicit, off only for a mail server on this machine")
	}
	if (s.SMTPUser == "") != (s.SMTPPasswordFile == "") {
		add("smtp-user", "--smtp-user and --smtp-password-file belong together: give both")
	}
	if _, err := s.mailConfig(""); err != nil {
		add("smtp-host", "%v", err)
	} else if _, err := mail.New(mail.Config{From: s.MailFrom.String()}); err != nil {
		add("mail-from", "%s", strings.TrimPrefix(err.Error(), "mail: "))
	}
}

// mailConfig is how mail is sent.
func (s *Settings) mailConfig(issuer string) (mail.Config, error) {
	c := mail.Config{
		Host: s.SMTPHost.String(), Port: int(s.SMTPPort), TLS: s.SMTPTLS.word, User: s.SMTPUser.String(), From: s.MailFrom.String(), Hello: helloOf(issuer),
	}
	if s.SMTPPasswordFile != "" {
		c.Password = func() (string, error) { return smtpPassword(s.SMTPPasswordFile.String()) }
		if _, err := c.Password(); err != nil {
			return c, err
		}
	}
	if s.SMTPCAFile != "" {
		pem, err := readLimited(s.SMTPCAFile.String(), mostConfig)
		if err != nil {
			return c, fmt.Errorf("the certificates for the mail server cannot be read: %w", err)
		}
		if c.CAs = x509.NewCertPool(); !c.CAs.AppendCertsFromPEM(pem) {
			return c, fmt.Errorf("%s has no certificate in PEM", s.SMTPCAFile)
		}
	}
	return c, nil
}

func smtpPassword(file string) (string, error) {
	b, err := readLimited(file, mostPassword)
	switch password := strings.TrimRight(string(b), "\r\n"); {
	case err != nil:
		return "", fmt.Errorf("the password file of the mail server cannot be read: %w", err)
	case password == "":
		return "", fmt.Errorf("the password file %s is empty", file)
	default:
		return password, nil
	}
}

// helloOf is what the server calls itself to a mail server: its host, in
// brackets where that is an address (RFC 5321 §4.1.3).
func helloOf(issuer string) string {
	host := hostOf(issuer)
	switch ip := net.ParseIP(host); {
	case host == "":
		return "localhost"
	case ip == nil:
		return host
	case ip.To4() != nil:
		return "[" + host + "]"
	}
	return "[IPv6:" + host + "]"
}

// recovery is what mails users, nil where no mail is sent.
func (n *node) recovery(s *Settings) (*accounts.Recovery, error) {
	if s.SMTPHost == "" && s.printMail == nil {
		return nil, nil
	}
	c, err := s.mailConfig(n.grants.Settings.Issuer)
	if err != nil {
		return nil, err
	}
	c.Log = n.log
	if s.SMTPHost == "" {
		c.Print, c.From = s.printMail, "demo@localhost"
	}
	sender, err := mail.New(c)
	if err != nil {
		return nil, err
	}
	return accounts.NewRecovery(accounts.Recovery{
		Users: n.accounts().Users, Mail: sender, Service: s.ServiceName.String(), TTL: time.Duration(s.ResetLinkTTL), Log: n.log,
	}), nil
}
