package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/smtp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// send delivers one mail, over a connection of its own.
func (s *Sender) send(ctx context.Context, m Message) error {
	to, err := mail.ParseAddress(m.To)
	if err != nil || len(to.Address) > mostAddress {
		return &refusedError{errors.New("mail: the address of the user is not one")}
	}
	if s.cfg.Print != nil {
		_, err := fmt.Fprintf(s.cfg.Print, "\n--- mail to %s: %s\n%s---\n", to.Address, m.Subject, m.Text)
		return err
	}
	text, err := compose(s.from, to, m, time.Now())
	if err != nil {
		return &refusedError{err}
	}
	// A delivery that has begun is finished: to stop in its midst would leave it
	// unknown whether it was made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Timeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.logIn(c); err != nil {
		return err
	}
	if err := c.Mail(s.from.Address); err != nil {
		return fmt.Errorf("mail: the sender %s: %w", s.from.Address, final(err))
	}
	if err := c.Rcpt(to.Address); err != nil {
		return fmt.Errorf("mail: the address of the user: %w", final(err))
	}
	w, err := c.Data()
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("mail: the mail itself: %w", final(err))
	}
	c.Quit() // it was taken; how the connection ends makes no difference
	return nil
}

// connect reaches the mail server, encrypted as it has to be.
func (s *Sender) connect(ctx context.Context) (*smtp.Client, error) {
	address := net.JoinHostPort(s.cfg.Host, strconv.Itoa(s.cfg.Port))
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	end, _ := ctx.Deadline()
	conn.SetDeadline(end)
	secure := &tls.Config{ServerName: s.cfg.Host, RootCAs: s.cfg.CAs, MinVersion: tls.VersionTLS12}
	if s.cfg.TLS == Implicit {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, s.cfg.Host)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("mail: %s does not answer as a mail server: %w", address, err)
	}
	err = c.Hello(s.cfg.Hello)
	if err == nil && s.cfg.TLS == STARTTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			err = errors.New("it offers no STARTTLS, and nothing is sent in clear text")
		} else {
			err = c.StartTLS(secure)
		}
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("mail: %s: %w", address, err)
	}
	return c, nil
}

func (s *Sender) logIn(c *smtp.Client) error {
	if s.cfg.User == "" {
		return nil
	}
	password, err := s.cfg.Password()
	if err != nil {
		return err
	}
	_, offered := c.Extension("AUTH")
	var how smtp.Auth = &loginAuth{user: s.cfg.User, password: password}
	if !slices.Contains(strings.Fields(offered), "LOGIN") || slices.Contains(strings.Fields(offered), "PLAIN") {
		how = smtp.PlainAuth("", s.cfg.User, password, s.cfg.Host)
	}
	if err := c.Auth(how); err != nil {
		return fmt.Errorf("mail: logging in to the mail server as %s: %w", s.cfg.User, err)
	}
	return nil
}

// loginAuth is the mechanism LOGIN, for mail servers that know no PLAIN.
type loginAuth struct{ user, password string }

func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS {
		return "", nil, errors.New("the password is not sent in clear text")
	}
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(asked []byte, more bool) ([]byte, error) {
	switch {
	case !more:
		return nil, nil
	case strings.HasPrefix(strings.ToLower(string(asked)), "user"):
		return []byte(a.user), nil
	case strings.HasPrefix(strings.ToLower(string(asked)), "pass"):
		return []byte(a.password), nil
	}
	return nil, errors.New("the mail server asks for something else than name and password")
}
