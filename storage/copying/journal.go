package copying

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"jeton/storage"
)

// Journal remembers which version of each row has been copied, in a file, so that
// a copy that was interrupted goes on. What was written to it last may be lost:
// those rows are copied again. It takes some 150 bytes of memory a row.
type Journal struct {
	mu    sync.Mutex
	file  *os.File
	w     *bufio.Writer
	err   error
	known map[rowID]entry
	pass  uint32
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
}

// magic begins a journal; after it stands what is copied where.
const magic = "jeton copy 1\n"

// ErrOther says that a journal is of a copy between other stores.
var ErrOther = errors.New("copying: the journal is of another copy")

// mostText bounds what is read of a journal as one key.
const mostText = 1 << 16

// OpenJournal opens the journal of the copy of that name, or begins it.
func OpenJournal(path, name string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: f, w: bufio.NewWriterSize(f, 1<<16), known: make(map[rowID]entry)}
	end, err := j.read(magic + name + "\n")
	if err == nil {
		err = f.Truncate(end) // half an entry, of a process that was killed
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err == nil && end == 0 {
		_, err = f.WriteString(magic + name + "\n")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return j, nil
}

// read fills known and returns where the last whole entry ends, 0 when there is
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
	end = int64(len(head))
	for {
		text, version, size, err := readEntry(r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		end += size
		j.known[idOf(text)] = entry{version: version}
	}
}

func readEntry(r *bufio.Reader) (text string, version uint64, size int64, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, 0, err
	}
	n := binary.BigEndian.Uint32(head[8:])
	if n > mostText {
		return "", 0, 0, errors.New("copying: the journal is damaged: remove it to begin anew")
	}
	key := make([]byte, n)
	if _, err := io.ReadFull(r, key); err != nil {
		return "", 0, 0, err
	}
	return string(key), binary.BigEndian.Uint64(head[:8]), int64(len(head)) + int64(n), nil
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
		j.known[id] = entry{version, j.pass}
		return true
	}
	return false
}

// copied notes that a row was copied, or with version 0 that it was removed. An
// error shows when the journal is flushed.
func (j *Journal) copied(k rowKey, version uint64) {
	text := k.text()
	id := idOf(text)
	head := binary.BigEndian.AppendUint64(nil, version)
	head = binary.BigEndian.AppendUint32(head, uint32(len(text)))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known[id] = entry{version, j.pass}
	for _, part := range [][]byte{head, []byte(text)} {
		if _, err := j.w.Write(part); err != nil && j.err == nil {
			j.err = err
		}
	}
}

func (j *Journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.err, j.w.Flush())
}

// seen reports whether the last pass has met a row in the source.
func (j *Journal) seen(k rowKey) bool {
	id := idOf(k.text())
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.known[id].seen == j.pass
}

// Close keeps the journal for the next time.
func (j *Journal) Close() error { return errors.Join(j.flush(), j.file.Close()) }

// Done removes it.
func (j *Journal) Done() error { return errors.Join(j.Close(), os.Remove(j.file.Name())) }
