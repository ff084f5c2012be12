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

// Step is what happened at some time. Kind is "good", "bad" or empty, Code what
// Words say as the wire has it.
type Step struct {
	Kind  string
	Time  *Moment
	Title string
	Words string
	Code  string
}

// Form asks for something. One without a Token is sent by GET.
type Form struct {
	Action, Token string
	Fields        []Field
	Inputs        []Input
	// Choice is a field of which something is chosen.
	Choice *Choice
	// Groups are what a long form is made of.
	Groups []Group
	// Words are on the button; Kind is "plain", "danger" or empty. Cancel is
	// where to go instead, and Back leads to the form before, with what is in this
	// one, whether it would be taken or not.
	Words, Kind, Cancel string
	Back                *Field
}

// Group are fields of a form that belong together. Of a Fault all of them have
// their part. Of one that is Folded the legend alone is seen, unless it is Open.
type Group struct {
	Legend, Words, Fault string
	Controls             []Control
	Folded, Open         bool
}

// Control is one of its fields.
type Control struct {
	Input  *Input
	Choice *Choice
	Tick   *Tick
}

// Choice is a field with a fixed set of values.
type Choice struct {
	Name, Label, Hint, Fault string
	Options                  []Option
}

// Option is one of them.
type Option struct {
	Value, Words string
	Chosen       bool
}

// Tick is a field that says yes or no.
type Tick struct {
	Name, Label, Hint, Fault string
	Chosen                   bool
}

// HTML is the page.
func (p Sheet) HTML() []byte { return draw("sheet", p) }
