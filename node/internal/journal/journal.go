// Package journal keeps what the panel has yet to hear: knocks, events,
// finished starts and removed relays, in one order, bounded, on disk.
package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"derpman/node/internal/disk"
	"derpman/node/internal/protocol"
)

const (
	// Kept bounds each kind of entry; the oldest go first.
	Kept = 10_000
	// KnocksPerRelay bounds the keys remembered per relay; the one silent longest goes first.
	KnocksPerRelay = 1_000
	// RepeatAfter is how often a knock that goes on is told again.
	RepeatAfter = 30 * time.Second

	page     = 2_000 // entries in one snapshot
	reserved = 1_000 // sequence numbers set aside per synced line
)

// entry is one line of the file. Exactly one of the pointers is set; a
// reservation has Limit only.
type entry struct {
	Seq     int64                   `json:"seq,omitempty"`
	Limit   int64                   `json:"limit,omitempty"`
	Epoch   string                  `json:"epoch,omitempty"`
	Knock   *protocol.Knock         `json:"knock,omitempty"`
	Event   *protocol.Event         `json:"event,omitempty"`
	Start   *protocol.FinishedStart `json:"start,omitempty"`
	Removed int64                   `json:"removed,omitempty"`
}

func (e *entry) dead() bool {
	return e.Knock == nil && e.Event == nil && e.Start == nil && e.Removed == 0
}

// Journal is safe for use by many goroutines.
type Journal struct {
	path   string
	notify func()

	mu      sync.Mutex
	file    *os.File
	unsaved bool // written, not yet synced
	torn    bool // a write failed, and may have left half a line
	epoch   string
	seq     int64
	limit   int64
	lines   int // in the file
	entries []entry
	kept    counts // live entries by kind
	knocks  map[int64]*keysOfRelay
}

type counts struct{ knocks, events, starts, removed int }

// Open reads the journal or begins one under a new epoch. notify is called
// after each addition, never under a lock.
func Open(path string, newEpoch func() string, notify func()) (*Journal, error) {
	j := &Journal{path: path, notify: notify, knocks: make(map[int64]*keysOfRelay)}
	if err := j.load(); err != nil {
		return nil, err
	}
	if j.epoch == "" {
		j.epoch = newEpoch()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j, j.rewrite()
}

func (j *Journal) load() error {
	data, err := os.ReadFile(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		var e entry
		if json.Unmarshal(line, &e) != nil {
			continue // a line torn by a crash; whatever it told is lost, nothing else
		}
		if e.Epoch != "" {
			j.epoch = e.Epoch
		}
		j.limit = max(j.limit, e.Limit)
		if !e.dead() {
			j.remember(e)
			j.seq = max(j.seq, e.Seq)
		}
	}
	// Numbers up to the limit may have been told to the panel though their
	// lines did not survive; they are never used again.
	j.seq = max(j.seq, j.limit)
	return nil
}

// Event adds an event; relay 0 is none.
func (j *Journal) Event(relay int64, kind string, detail map[string]any) {
	if detail == nil {
		detail = map[string]any{}
	}
	event := protocol.Event{At: protocol.Now(), Kind: kind, Detail: detail}
	if relay != 0 {
		event.Relay = &relay
	}
	j.add(false, func(seq int64) entry {
		event.Seq = seq
		return entry{Seq: seq, Event: &event}
	})
	slog.Info(kind, "relay", relay, "detail", detail)
}

// Foreign adds that something nobody ordered was removed. What it claimed to
// be is a detail, as the panel may know no such relay.
func (j *Journal) Foreign(handle string, relay, generation int64) {
	j.Event(0, "foreign_removed", map[string]any{"handle": handle, "relay": relay, "generation": generation})
}

// Finished adds the account of a finished start, durably and once: saying it
// again after a crash changes nothing.
func (j *Journal) Finished(start protocol.FinishedStart) {
	j.add(true, func(seq int64) entry {
		for i := range j.entries {
			if told := j.entries[i].Start; told != nil && told.Relay == start.Relay && told.StartID == start.StartID {
				return entry{}
			}
		}
		return entry{Seq: seq, Start: &start}
	})
}

// Removed adds that a relay is gone from this server, durably.
func (j *Journal) Removed(relay int64) {
	j.add(true, func(seq int64) entry { return entry{Seq: seq, Removed: relay} })
}

// add makes one entry under the lock and writes it; make may return none.
func (j *Journal) add(durable bool, make func(seq int64) entry) {
	j.mu.Lock()
	e := make(j.seq + 1)
	if e.dead() {
		j.mu.Unlock()
		return
	}
	j.append(e)
	if durable {
		j.sync()
	}
	j.mu.Unlock()
	j.notify()
}

// append remembers and writes e, which has the next sequence number.
func (j *Journal) append(e entry) {
	j.seq = e.Seq
	j.remember(e)
	if j.seq > j.limit {
		j.limit = j.seq + reserved
		j.write(entry{Limit: j.limit})
		j.sync()
	}
	j.write(e)
	if j.lines > 2*(j.kept.knocks+j.kept.events+j.kept.starts+j.kept.removed)+reserved {
		if err := j.rewrite(); err != nil {
			slog.Error("journal not rewritten", "error", err)
		}
	}
}

func (j *Journal) remember(e entry) {
	j.entries = append(j.entries, e)
	kind := j.kindOf(&e)
	*kind++
	if e.Knock != nil {
		j.noteKnock(e.Knock)
	}
	if e.Removed != 0 {
		j.forgetKnocks(e.Removed)
	}
	if *kind > Kept {
		j.evict(kind)
	}
}

func (j *Journal) kindOf(e *entry) *int {
	switch {
	case e.Knock != nil:
		return &j.kept.knocks
	case e.Event != nil:
		return &j.kept.events
	case e.Start != nil:
		return &j.kept.starts
	}
	return &j.kept.removed
}

// evict drops a tenth of a kind at once, so that the walk is paid for by many additions.
func (j *Journal) evict(kind *int) {
	drop := Kept / 10
	j.entries = slices.DeleteFunc(j.entries, func(e entry) bool {
		if e.dead() {
			return true
		}
		if drop == 0 || j.kindOf(&e) != kind {
			return false
		}
		drop--
		*kind--
		if e.Knock != nil {
			j.dropKey(e.Knock.Relay, e.Knock.Key)
		}
		return true
	})
}

// kill takes the entry with the number out; its place stays until the next rewrite.
func (j *Journal) kill(seq int64) {
	if at, found := j.find(seq); found && !j.entries[at].dead() {
		*j.kindOf(&j.entries[at])--
		j.entries[at] = entry{Seq: seq}
	}
}

func (j *Journal) find(seq int64) (int, bool) {
	return slices.BinarySearchFunc(j.entries, seq, func(e entry, seq int64) int { return cmp.Compare(e.Seq, seq) })
}

// write adds a line for an entry that is remembered already. After a failure,
// as on a full disk, the whole file is written anew as soon as that works.
func (j *Journal) write(e entry) {
	if j.torn {
		j.torn = j.rewrite() != nil
		return
	}
	j.lines++
	j.unsaved = true
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		j.torn = true
		slog.Error("journal not written", "error", err)
	}
}

func (j *Journal) sync() {
	if j.torn {
		j.torn = j.rewrite() != nil
	}
	if !j.unsaved {
		return
	}
	if err := j.file.Sync(); err != nil {
		slog.Error("journal not synced", "error", err)
		return
	}
	j.unsaved = false
}

// Sync makes what was added durable against a loss of power.
func (j *Journal) Sync() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sync()
}

// rewrite makes the file hold what is live and nothing else.
func (j *Journal) rewrite() error {
	j.entries = slices.DeleteFunc(j.entries, func(e entry) bool { return e.dead() })
	j.limit = j.seq + reserved
	var buffer bytes.Buffer
	writer := json.NewEncoder(&buffer)
	_ = writer.Encode(entry{Epoch: j.epoch, Limit: j.limit}) // plain values into memory cannot fail
	for i := range j.entries {
		_ = writer.Encode(j.entries[i])
	}
	if err := disk.Replace(j.path, buffer.Bytes(), 0o600); err != nil {
		return err
	}
	file, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.unsaved, j.lines = file, false, len(j.entries)
	return nil
}

// Reset forgets everything and begins a new epoch.
func (j *Journal) Reset(epoch string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.epoch, j.entries, j.kept = epoch, nil, counts{}
	j.knocks = make(map[int64]*keysOfRelay)
	return j.rewrite()
}

// Page is the part of a snapshot that comes from the journal.
type Page struct {
	Cursor  string
	More    bool
	Removed []int64
	Knocks  []protocol.Knock
	Events  []protocol.Event
	Starts  []protocol.FinishedStart
}

// Since gives what came after the cursor, oldest first, at most a page. A
// cursor of another epoch means everything held.
func (j *Journal) Since(cursor string) Page {
	j.mu.Lock()
	defer j.mu.Unlock()
	from := j.after(cursor)
	at, _ := j.find(from + 1)
	var p Page
	taken, last := 0, from
	for ; at < len(j.entries) && taken < page; at++ {
		e := &j.entries[at]
		switch {
		case e.Knock != nil:
			p.Knocks = append(p.Knocks, *e.Knock)
		case e.Event != nil:
			p.Events = append(p.Events, *e.Event)
		case e.Start != nil:
			p.Starts = append(p.Starts, *e.Start)
		case e.Removed != 0:
			p.Removed = append(p.Removed, e.Removed)
		default:
			continue
		}
		taken, last = taken+1, e.Seq
	}
	p.More = at < len(j.entries)
	if !p.More {
		last = j.seq
	}
	p.Cursor = fmt.Sprintf("%s:%d", j.epoch, last)
	return p
}

func (j *Journal) after(cursor string) int64 {
	epoch, number, found := strings.Cut(cursor, ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil || epoch != j.epoch || seq < 0 || seq > j.seq {
		return 0
	}
	return seq
}
