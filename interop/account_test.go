package interop

import (
	"bufio"
	"fmt"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// looks are how the pages are looked at, each by a user of its own: passwords
// change on the way.
var looks = []string{"light", "dark", "phone", "phone-dark", "no-script"}

func TestAccountInChromium(t *testing.T) {
	t.Parallel()
	needNode(t, "node")
	chromium := needChromium(t)
	mails := t.TempDir()
	s := codeServer(t, "JETON_SMTP_HOST=127.0.0.1", "JETON_SMTP_TLS=off", "JETON_SMTP_PORT="+mailbox(t, mails), "JETON_MAIL_FROM=Example <login@example.com>")
	for _, look := range looks {
		s.run(t, password, "user", "add", look, "--role", "ROLE_USER", "--claim", "email="+look+"@example.com", "--password-stdin")
	}
	api := filepath.Join(t.TempDir(), "api")
	build := exec.Command("go", "build", "-o", api, "./examples/api")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(api)
	cmd.Env = append(environ(), "API_ISSUER="+s.issuer, "API_AUDIENCE="+audience, "API_LISTEN=127.0.0.1:0")
	s.runNode(t, "account.test.mjs", "INTEROP_CHROMIUM="+chromium, "INTEROP_API="+startExample(t, cmd), "INTEROP_MAILS="+mails)
}

// mailbox is a mail server that writes each mail it is given into a file of its
// own, and returns its port.
func mailbox(t *testing.T, dir string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var taken atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(time.Minute))
				if text, err := receive(conn); err == nil {
					name := filepath.Join(dir, fmt.Sprintf("%06d", taken.Add(1)))
					os.WriteFile(name+".new", []byte(text), 0o600)
					os.Rename(name+".new", name+".txt")
				}
			}()
		}
	}()
	return fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
}

// receive takes one mail and returns whom it is to, its subject and its text.
func receive(conn net.Conn) (string, error) {
	in := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mailbox\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		switch {
		case !strings.HasPrefix(line, "DATA"):
			fmt.Fprint(conn, "250 ok\r\n")
			continue
		}
		fmt.Fprint(conn, "354 go on\r\n")
		var raw strings.Builder
		for line = ""; line != ".\r\n"; {
			raw.WriteString(strings.TrimPrefix(line, "."))
			if line, err = in.ReadString('\n'); err != nil {
				return "", err
			}
		}
		fmt.Fprint(conn, "250 taken\r\n")
		m, err := mail.ReadMessage(strings.NewReader(raw.String()))
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		return m.Header.Get("To") + "\n" + m.Header.Get("Subject") + "\n" + string(text), err
	}
}
