package throttle

import "time"

// knownPair is a user and a source that have signed in together. 16 bytes.
type knownPair struct {
	owner uint64 // 0 is a free place
	place uint32
	day   uint32 // of the store's time, counted from 1970
}

const (
	knownWays = 16
	// knownChunks is in how many rows the table is stored.
	knownChunks = 256
)

const msPerDay = 24 * 60 * 60 * 1000

// known is the table of such pairs, and beside each the mark of the secret that
// was right, if this process saw it: see [Throttle.besieged]. The marks are under
// a key of this process, and go nowhere else: with the key they would make
// guessing passwords cheap.
//
//	All pairs of one user have the same
//
// sixteen places, which bounds them; and when these are full the user who
// has the most of them gives up the oldest, so that nobody who signs in from
// everywhere can make others strangers.
type known struct {
	cells []knownPair
	marks []uint64 // 0: none
	shift uint     // owner >> shift is the set, and owner >> 56 the chunk of it
	days  uint32
	dirty [knownChunks]bool
}

func newKnown(size int, keep time.Duration) known {
	n, shift := knownWays, uint(64)
	for n < size {
		n, shift = n*2, shift-1
	}
	return known{cells: make([]knownPair, n), marks: make([]uint64, n), shift: shift, days: uint32((keep.Milliseconds() + msPerDay - 1) / msPerDay)}
}

func (k *known) first(owner uint64) int { return int(owner>>k.shift) * knownWays }

func (k *known) set(owner uint64) []knownPair {
	first := k.first(owner)
	return k.cells[first : first+knownWays]
}

// fresh reports whether the pair is one that counts.
func (k *known) fresh(p *knownPair, today uint32) bool {
	return p.owner != 0 && p.day+k.days >= today
}

func (k *known) has(owner uint64, place, today uint32) bool {
	cells := k.set(owner)
	for i := range cells {
		if p := &cells[i]; p.owner == owner && p.place == place {
			return k.fresh(p, today)
		}
	}
	return false
}

// mark makes a pair known, today, by a secret.
func (k *known) mark(owner uint64, place, today uint32, secret uint64) {
	if k.put(knownPair{owner, place, today}, today) {
		k.dirty[owner>>56] = true
	}
	for i, p := range k.set(owner) {
		if p.owner == owner && p.place == place {
			k.marks[k.first(owner)+i] = secret
		}
	}
}

// by reports whether a pair that counts has last signed in here by that secret.
func (k *known) by(owner uint64, place, today uint32, secret uint64) bool {
	for i, p := range k.set(owner) {
		if p.owner == owner && p.place == place {
			return k.fresh(&p, today) && k.marks[k.first(owner)+i] == secret
		}
	}
	return false
}

// put adds a pair and reports whether that changed anything.
func (k *known) put(p knownPair, today uint32) bool {
	cells := k.set(p.owner)
	free := -1
	for i := range cells {
		c := &cells[i]
		if c.owner == p.owner && c.place == p.place {
			changed := c.day < p.day
			c.day = max(c.day, p.day)
			return changed
		}
		if !k.fresh(c, today) {
			free = i
		}
	}
	if free < 0 {
		free = crowded(cells, p.owner)
	}
	cells[free], k.marks[k.first(p.owner)+free] = p, 0
	return true
}

// crowded is the oldest place of the owner who, with one more for the given
// one, has the most.
func crowded(cells []knownPair, joins uint64) int {
	var pairs [knownWays]int
	for i := range cells {
		if cells[i].owner == joins {
			pairs[i]++
		}
		for j := range cells {
			if cells[i].owner == cells[j].owner {
				pairs[i]++
			}
		}
	}
	at := 0
	for i := range cells {
		if pairs[i] > pairs[at] || pairs[i] == pairs[at] && cells[i].day < cells[at].day {
			at = i
		}
	}
	return at
}

// chunk are the cells that one row holds.
func (k *known) chunk(i int) []knownPair {
	n := len(k.cells) / knownChunks
	return k.cells[i*n : (i+1)*n]
}
