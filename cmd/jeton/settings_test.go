package main

import (
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Every field of Settings has exactly one row, so that none can be set in one
// place and forgotten in another.
func TestEverySettingIsInTheTable(t *testing.T) {
	var s Settings
	rows := map[uintptr]string{}
	for _, row := range table() {
		at := reflect.ValueOf(row.value(&s)).Pointer()
		if rows[at] != "" {
			t.Errorf("%s and %s are one field", rows[at], row.name)
		}
		rows[at] = row.name
		if row.help == "" || row.name != strings.ToLower(row.name) || strings.Contains(row.name, "_") {
			t.Errorf("%q is not written as a flag, or has no help", row.name)
		}
	}
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.IsExported() && !slices.Contains([]string{"Clients", "Users", "Webhooks"}, field.Name) && rows[v.Field(i).Addr().Pointer()] == "" {
			t.Errorf("no row sets %s", field.Name)
		}
	}
}

// A setting reads the same from each of its places, and the nearer one wins.
func TestPrecedence(t *testing.T) {
	read := func(args, environ []string) string {
		t.Helper()
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		addFlags(flags, true)
		addFlags(flags, false)
		if err := flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		s, err := load(flags, environ)
		if err != nil {
			t.Fatal(err)
		}
		return s.TrustedProxies.String() + " " + s.source("trusted-proxies")
	}
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{nil, nil, " --trusted-proxies"},
		{nil, []string{"JETON_TRUSTED_PROXIES="}, " --trusted-proxies"},
		{nil, []string{"JETON_TRUSTED_PROXIES=10.0.0.0/8, ::1"}, "10.0.0.0/8,::1/128 JETON_TRUSTED_PROXIES"},
		{[]string{"--trusted-proxies=10.0.0.1", "--trusted-proxies", "10.0.0.2,10.0.0.3"}, []string{"JETON_TRUSTED_PROXIES=::1"},
			"10.0.0.1/32,10.0.0.2/32,10.0.0.3/32 --trusted-proxies"},
		{[]string{"--trusted-proxies="}, []string{"JETON_TRUSTED_PROXIES=::1"}, " --trusted-proxies"},
	} {
		if got := read(c.args, c.env); got != c.want {
			t.Errorf("%q %q: got %q, want %q", c.args, c.env, got, c.want)
		}
	}
}

// A password in the address of a store is not shown.
func TestStorePasswordIsHidden(t *testing.T) {
	s := &Settings{Store: "redis+sentinel://jeton:hunter2@cache:26379/main"}
	for _, row := range table() {
		if row.secret && row.shown(s) != "redis+sentinel://jeton:(hidden)@cache:26379/main" {
			t.Errorf("shown as %s", row.shown(s))
		}
	}
	if v := typedValue(table()[1], s); strings.Contains(v.(string), "hunter2") {
		t.Errorf("printed as %s", v)
	}
}

func TestIssuer(t *testing.T) {
	for issuer, fault := range map[string]string{
		"https://login.example.com":       "",
		"https://login.example.com/auth":  "",
		"https://login.example.com:8443":  "",
		"http://127.0.0.1:9096":           "",
		"http://localhost":                "",
		"http://[::1]:9096":               "",
		"http://login.example.com":        "not https",
		"http://localhost.example.com":    "not https",
		"https://login.example.com/":      "ends with a slash",
		"https://login.example.com?":      "query",
		"https://login.example.com/#":     "query or fragment",
		"https://me@login.example.com":    "user name",
		"https://Login.example.com":       "upper case",
		"https://login.example.com/a//b":  "rewrite",
		"https://login.example.com/a/../": "slash",
		"https://login.example.com/a/..":  "rewrite",
		"https://login.example.com/a%20b": "rewrite",
		"login.example.com":               "not an address",
		"https://":                        "not an address",
		"https://:443":                    "not an address",
		"ftp://login.example.com":         "not an address",
	} {
		err := checkIssuer(issuer, false)
		if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%s: got %v, want %q", issuer, err, fault)
		}
	}
	for _, c := range []struct {
		listen, bound string
		secure        bool
		want          string
	}{
		{"127.0.0.1:0", "127.0.0.1:4711", false, "http://127.0.0.1:4711"},
		{"localhost:9096", "127.0.0.1:9096", true, "https://localhost:9096"},
		{"[::1]:9096", "[::1]:9096", false, "http://[::1]:9096"},
		{"[::1]:443", "[::1]:443", true, "https://[::1]"},
		{"login.example.com:443", "192.0.2.1:443", true, "https://login.example.com"},
	} {
		addr, err := net.ResolveTCPAddr("tcp", c.bound)
		if err != nil {
			t.Fatal(err)
		}
		if got := issuerOf(c.listen, addr, c.secure); got != c.want {
			t.Errorf("%s: got %s, want %s", c.listen, got, c.want)
		}
		if err := checkIssuer(c.want, false); err != nil {
			t.Errorf("the default would be refused: %v", err)
		}
	}
}

func TestSecretLosesOneNewline(t *testing.T) {
	for in, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "secret\n\n": "secret\n", "secret\r": "secret\r",
		" secret \n": " secret ", "": "", "\n": "", "\r\n": "", strings.Repeat("x", mostSecret+1): "",
	} {
		got, err := oneSecret([]byte(in))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: got %.20q and %v", in, got, err)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"JETON_LISTEN", "JETON_ISSUER"}
	for word, want := range map[string]string{"JETON_LISTN": ", did you mean JETON_LISTEN?", "JETON_ISUER": ", did you mean JETON_ISSUER?", "JETON_X": ""} {
		if got := suggest(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	if !slices.Contains(known, "JETON_LISTEN") {
		t.Error("the known words were changed")
	}
}
