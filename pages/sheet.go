package pages

// Sheet is a page of the console: a title, perhaps a search, and cards.
type Sheet struct {
	Frame
	Title, Lead string
	Badges      []Badge
	Search      *Form
	Cards       []Card
}

// Card is a part of a [Sheet]. What it does not have is not drawn.
type Card struct {
	Title, Words string
	// Kind is "bad" for a card that warns.
	Kind  string
	Facts []Fact
	Steps []Step
	Table *Table
	Empty *Empty
	Pager *Pager
	Form  *Form
	// Links are drawn as buttons; the first of those in Danger warns.
	Links, Danger []Link
}

// Step is what happened at some time. Kind is "good", "bad" or empty.
type Step struct {
	Kind  string
	Time  *Moment
	Title string
	Words string
}

// Form asks for something. One without a Token is sent by GET.
type Form struct {
	Action, Token string
	Fields        []Field
	Inputs        []Input
	// Text is a field of several lines, and Choice one of which something is
	// chosen.
	Text   *Input
	Choice *Choice
	// Words are on the button; Kind is "plain", "danger" or empty. Cancel is
	// where to go instead.
	Words, Kind, Cancel string
}

// Choice is a field with a fixed set of values.
type Choice struct {
	Name, Label, Hint string
	Options           []Option
}

// Option is one of them.
type Option struct {
	Value, Words string
	Chosen       bool
}

// HTML is the page.
func (p Sheet) HTML() []byte { return draw("sheet", p) }
