package copying

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"jeton/storage"
)

// Journal remembers which version of each row has been copied, in a file, so that
// a copy that was interrupted goes on. A checkpoint says how far the target had come
// once it had all that stands before: what stands after the last one is copied
// again, and so is everything if the target is found to be behind it. It takes some
// 150 bytes of memory a row.
type Journal struct {
	mu    sync.Mutex
	file  *os.File
	start int64 // of the entries
	known map[rowID]entry
	pass  uint32
	// pending are the entries since the last checkpoint, counters what that said.
	pending  []byte
	counters []int64
}

type rowKey struct {
	partition storage.Partition
	key       storage.Key
}

// rowID stands for a key in memory.
type rowID [16]byte

func (k rowKey) text() string {
	return string(k.partition) + "\x00" + k.key.Kind + "\x00" + k.key.ID
}

func idOf(text string) rowID {
	sum := sha256.Sum256([]byte(text))
	return rowID(sum[:16])
}

type entry struct {
	version uint64
	seen    uint32 // the pass that has seen the row last
	met     uint32 // and the one after which it was in the target
}

// magic begins a journal; after it stands what is copied where.
const magic = "jeton copy 2\n"

// ErrOther says that a journal is of a copy between other stores.
var ErrOther = errors.New("copying: the journal is of another copy")

// mostText bounds what is read of a journal as one key. In place of its length a
// checkpoint has checkpointMark, and in place of the version how many counters
// follow, of which there are mostCounters at most.
const (
	mostText       = 1 << 16
	checkpointMark = math.MaxUint32
	mostCounters   = 1 << 12
)

// OpenJournal opens the journal of the copy of that name, or begins it.
func OpenJournal(path, name string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	head := magic + name + "\n"
	j := &Journal{file: f, start: int64(len(head)), known: make(map[rowID]entry)}
	end, err := j.read(head)
	if err == nil {
		err = f.Truncate(end) // what no checkpoint follows
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err == nil && end == 0 {
		_, err = f.WriteString(head)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return j, nil
}

// read fills known and returns where the last checkpoint ends, 0 when there is
// nothing.
func (j *Journal) read(head string) (end int64, err error) {
	r := bufio.NewReaderSize(j.file, 1<<16)
	start := make([]byte, len(head))
	switch n, err := io.ReadFull(r, start); {
	case n == 0 && err == io.EOF:
		return 0, nil
	case err != nil && err != io.ErrUnexpectedEOF:
		return 0, err
	case string(start) != head:
		return 0, ErrOther
	}
	end = j.start
	at, since := end, make(map[rowID]uint64)
	for {
		e, err := readEntry(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		if at += e.size; !e.checkpoint {
			since[idOf(e.text)] = e.version
			continue
		}
		for id, version := range since {
			j.known[id] = entry{version: version}
		}
		clear(since)
		end, j.counters = at, e.counters
	}
}

// record is an entry or a checkpoint, as it is read.
type record struct {
	text       string
	version    uint64
	checkpoint bool
	counters   []int64
	size       int64
}

var errDamaged = errors.New("copying: the journal is damaged: remove it to begin anew")

func readEntry(r *bufio.Reader) (e record, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return e, err
	}
	e.version = binary.BigEndian.Uint64(head[:8])
	n := binary.BigEndian.Uint32(head[8:])
	e.checkpoint = n == checkpointMark
	switch {
	case e.checkpoint && e.version <= mostCounters:
		n = 8 * uint32(e.version)
	case n > mostText:
		return e, errDamaged
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return e, err
	}
	e.size = int64(len(head)) + int64(n)
	if !e.checkpoint {
		e.text = string(body)
		return e, nil
	}
	for ; len(body) > 0; body = body[8:] {
		e.counters = append(e.counters, int64(binary.BigEndian.Uint64(body)))
	}
	return e, nil
}

func appendHead(b []byte, first uint64, n uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, first), n)
}

func (j *Journal) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pass++
}

// see notes that a row is there, and reports whether it was copied as it is.
func (j *Journal) see(k rowKey, version uint64) bool {
	id := idOf(k.text())
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.known[id]
	if e.version == version && version != 0 {
		e.seen = j.pass
		j.known[id] = e
		return true
	}
	return false
}

// copied notes that a row was copied, or with version 0 that it was removed.
func (j *Journal) copied(k rowKey, version uint64) {
	text := k.text()
	id := idOf(text)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known[id] = entry{version: version, seen: j.pass}
	j.pending = append(appendHead(j.pending, version, uint32(len(text))), text...)
}

// meet notes that a row is in the target, and reports whether the last pass has
// met it in the source.
func (j *Journal) meet(k rowKey) bool {
	id := idOf(k.text())
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.known[id]
	if e.version == 0 || e.seen != j.pass {
		return false
	}
	e.met = j.pass
	j.known[id] = e
	return true
}

// met reports whether a row was in the target after the last pass.
func (j *Journal) met(k rowKey) bool {
	id := idOf(k.text())
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.known[id].met == j.pass
}

// behind reports whether a target that has come so far has lost what it had.
func (j *Journal) behind(counters []int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, n := range j.counters {
		if i >= len(counters) || counters[i] < n {
			return true
		}
	}
	return false
}

// checkpoint writes what was noted before, with how far the target had come since.
func (j *Journal) checkpoint(counters func() ([]int64, error)) error {
	j.mu.Lock()
	batch := j.pending
	j.pending = nil
	j.mu.Unlock()
	reached, err := counters()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.pending = append(batch, j.pending...)
		return err
	}
	batch = appendHead(batch, uint64(len(reached)), checkpointMark)
	for _, n := range reached {
		batch = binary.BigEndian.AppendUint64(batch, uint64(n))
	}
	j.counters = reached
	_, err = j.file.Write(batch)
	return err
}

// waiting is how many bytes wait for a checkpoint.
func (j *Journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending)
}

// forget begins anew.
func (j *Journal) forget() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.known)
	j.pending, j.counters = nil, nil
	_, err := j.file.Seek(j.start, io.SeekStart)
	return errors.Join(err, j.file.Truncate(j.start))
}

// Close keeps the journal for the next time.
func (j *Journal) Close() error { return j.file.Close() }

// Done removes it.
func (j *Journal) Done() error { return errors.Join(j.Close(), os.Remove(j.file.Name())) }
