package pages

// Account shows somebody where they are signed in.
type Account struct {
	Frame
	Facts    []Fact
	Sessions []Row
	// EndOthers is there when there are others than the one that looks.
	EndOthers *Act
	Empty     Empty
	// More says that there are more sessions than are shown.
	More string
}

// Applications shows what clients may do in somebody's name.
type Applications struct {
	Frame
	Rows  []Row
	Empty Empty
}

// Password asks for the password that is, and the one that shall be.
type Password struct {
	Frame
	Lead, Fault   string
	Action, Token string
	Inputs        []Input
}

// Activity shows what has happened.
type Activity struct {
	Frame
	Lead  string
	Rows  []Row
	Empty Empty
}

// Forgot asks those who have forgotten their password who they are.
type Forgot struct {
	Service, Action, Token, Back string
	Username, Fault              string
}

// Reset asks whoever came by a link for a new password.
type Reset struct {
	Service, Action, Token string
	Username, Fault        string
	Inputs                 []Input
}

// HTML is the page.
func (p Account) HTML() []byte      { return draw("account", p) }
func (p Applications) HTML() []byte { return draw("applications", p) }
func (p Password) HTML() []byte     { return draw("password", p) }
func (p Activity) HTML() []byte     { return draw("activity", p) }
func (p Forgot) HTML() []byte       { return draw("forgot", p) }
func (p Reset) HTML() []byte        { return draw("reset", p) }
