package pages

import "time"

// The building blocks that pages are put together of. Each has a template of
// its name in blocks.html, and its look in style.css.

// Frame is what stands around a page of the account and of the console.
type Frame struct {
	Service string
	// Area names what Nav leads through.
	Area string
	Nav  []Link
	// Username is who is signed in, SignOut the form that ends that.
	Username string
	SignOut  Act
	// Said is what the last form came to, nil for nothing.
	Said *Said
}

// Link leads to a page of this server.
type Link struct {
	Href, Words string
	// Here says that it leads to the page it stands on.
	Here bool
}

// Said is a notice above a page. Kind is "good", "bad" or empty.
type Said struct{ Kind, Words string }

// Moment is a point in time, for machines and for people.
type Moment struct{ Machine, Words string }

// At is a moment in full.
func At(t time.Time) *Moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &Moment{t.Format(time.RFC3339), t.Format("2 Jan 2006, 15:04 UTC")}
}

// Act is a form of one button. About says to those who only hear the button what
// it is about; Kind is "plain", "danger" or empty.
type Act struct {
	Action, Token      string
	Words, About, Kind string
	Fields             []Field
}

// Fact is a name with its value, for lists of such. Time takes the place of
// Value where it is there.
type Fact struct {
	Name, Value string
	Code        bool
	Time        *Moment
}

// Empty stands where a list would, and says what to do.
type Empty struct {
	Title, Words string
	Link         *Link
}

// Pager leads on from one page of a list; what leads nowhere is empty.
type Pager struct{ First, Next string }

// Input is a field of a form with its label. Fault says what was wrong with what
// was sent.
type Input struct {
	Name, Label, Type, Value, Autocomplete, Hint, Fault string
	Max                                                 int
	// Rows is how many lines are seen of a text that may have several, 0 for a
	// field of one.
	Rows            int
	Required, Focus bool
}

// Badge is a word in a frame. Kind is "good", "bad" or empty.
type Badge struct{ Kind, Words string }

// Row is an entry of a list: what it is, some lines of small print, and one
// thing to do with it.
type Row struct {
	Title string
	Badge *Badge
	Lines [][]Part
	Act   *Act
}

// Part is a piece of a line: words, or a moment with words before it.
type Part struct {
	Before string
	Time   *Moment
	Words  string
}

// Table has a caption, which is heard and not seen. Where there is no room for
// it each row is drawn as a card, with the name of its column before each value.
// Every row has a cell for each column.
type Table struct {
	Caption string
	Columns []string
	Rows    [][]Cell
}

// Cell is what stands in a table at one place. Of a long id Words are its
// beginning and Whole all of it, which is shown when it is asked for.
type Cell struct {
	Words, Href string
	Whole       string
	Code        bool
	Time        *Moment
	Badges      []Badge
	Act         *Act
}
