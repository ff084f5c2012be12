package pages

import (
	"bytes"
	"html/template"
)

// Login asks for name and password. Fault says what was wrong before, Forgot is
// where those go who have forgotten theirs.
type Login struct {
	Service, Client string
	Action          string
	Token           string
	Username, Fault string
	Forgot          string
}

// Choose asks whether the account that is signed in is the right one.
type Choose struct {
	Service, Client string
	Action          string
	Token           string
	Username        string
}

// Consent asks whether a client may have what it wants.
type Consent struct {
	Service, Client string
	// Registered is the day on which the client registered itself, empty for one
	// that an operator knows.
	Registered string
	// Host is where answers go, in words.
	Host     string
	Action   string
	Token    string
	Username string
	Scopes   []Scope
	// Resources are the APIs that it is for, where the client has named any.
	Resources []string
	Lifetime  string

	// Unknown says that nobody has registered the client, whose host Client is
	// then, and Calls what it calls itself. OnDevice says that it takes answers on
	// the user's device alone.
	Unknown, OnDevice bool
	Calls             string
}

// Scope is a scope token, with words for people where somebody wrote any.
type Scope struct{ Name, Words string }

// Answer sends the browser on to the client with a form (OAuth 2.0 Form Post
// Response Mode). Its script presses the button.
type Answer struct {
	Service, Client string
	// Action is a checked redirect URI: of any scheme.
	Action template.URL
	Fields []Field
}

// Field is a parameter that a form carries along.
type Field struct{ Name, Value string }

// Notice says something. Code is the error code of a refusal.
type Notice struct {
	Service string
	Title   string
	Words   []string
	Code    string
	Link    *Link
}

// SignOut asks whether to sign out.
type SignOut struct {
	Service, Client string
	Action          string
	Token           string
	Username        string
	Fields          []Field
}

// DeviceCode asks for the code that a device shows.
type DeviceCode struct {
	Service string
	Action  string
	// Code is what was typed before, Fault what was wrong with it.
	Code, Fault string
}

// Device asks whether a device may have what it wants.
type Device struct {
	Service, Client string
	Action          string
	Token           string
	Username        string
	// Code is what the device shows; Asked says when, Agent and Network from where
	// it has asked, as far as that is known, Beside how that is to the user.
	Code, Asked            string
	Agent, Network, Beside string
	Scopes                 []Scope
	Lifetime               string
}

// HTML is the page.
func (p Login) HTML() []byte   { return draw("login", p) }
func (p Choose) HTML() []byte  { return draw("choose", p) }
func (p Consent) HTML() []byte { return draw("consent", p) }
func (p Answer) HTML() []byte  { return draw("answer", p) }
func (p Notice) HTML() []byte  { return draw("notice", p) }
func (p SignOut) HTML() []byte { return draw("signout", p) }

func (p DeviceCode) HTML() []byte { return draw("devicecode", p) }
func (p Device) HTML() []byte     { return draw("device", p) }

func draw(name string, p any) []byte {
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "layout", p); err != nil {
		panic(err) // a page is drawn from plain values: the tests draw each
	}
	return b.Bytes()
}
