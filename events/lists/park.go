package lists

import "time"

// Seat is the right to wait without a goroutine: ten thousand stacks are what
// ten thousand who wait would cost most. Whoever has one either parks or
// leaves.
type Seat struct {
	p      *Publisher
	source string
	list   *list
	timer  *time.Timer
	answer func()
	gone   func() bool
}

// Sit takes a seat. It returns nil when too many wait already.
func (p *Publisher) Sit(source string) *Seat {
	if _, ok := p.sit(source); !ok {
		return nil
	}
	return &Seat{p: p, source: source}
}

// Leave gives up a seat in which nobody parks.
func (s *Seat) Leave() { s.p.wait.leave(s.source) }

// Park has answer called once, in a goroutine of its own, when the bits of the
// list are no longer those of the edition, after d, or at Release; and before
// that if others find no seat and gone says that nobody is there any more. gone
// must not block.
func (s *Seat) Park(e *Edition, d time.Duration, answer func(), gone func() bool) {
	l := e.list
	s.list, s.answer, s.gone = l, answer, gone
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-s.p.wait.over: // Release may have looked at this list already
		go s.call()
		return
	default:
	}
	if !l.same(e) {
		go s.call()
		return
	}
	if l.parked == nil {
		l.parked = make(map[*Seat]struct{})
	}
	l.parked[s] = struct{}{}
	s.timer = time.AfterFunc(d, s.early)
}

// early calls one who is still parked.
func (s *Seat) early() {
	s.list.mu.Lock()
	_, parked := s.list.parked[s]
	delete(s.list.parked, s)
	s.list.mu.Unlock()
	if parked {
		s.call()
	}
}

// call is for whoever has taken the seat out of its list.
func (s *Seat) call() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.Leave()
	s.answer()
}

// same reports whether the bits are those of an edition. The list is locked.
func (l *list) same(e *Edition) bool { return !l.dropped && l.version == e.version }

// wakeParked calls all who are parked, in waves. The list is locked.
func (l *list) wakeParked() {
	if len(l.parked) == 0 {
		return
	}
	all := l.parked
	l.parked = nil
	go func() {
		i := 0
		for s := range all {
			if i++; i%wave == 0 {
				time.Sleep(waveEvery)
			}
			go s.call()
		}
	}()
}

// sweep calls those who are parked and have left.
func (p *Publisher) sweep() {
	for _, l := range p.holds() {
		l.mu.Lock()
		all := make([]*Seat, 0, len(l.parked))
		for s := range l.parked {
			all = append(all, s)
		}
		l.mu.Unlock()
		for _, s := range all {
			if s.gone() {
				s.early()
			}
		}
	}
}

// holds are the lists in memory.
func (p *Publisher) holds() []*list {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*list, 0, len(p.lists))
	for _, l := range p.lists {
		all = append(all, l)
	}
	return all
}
