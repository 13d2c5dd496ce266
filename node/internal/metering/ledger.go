package metering

import (
	"log/slog"
	"sync"
	"time"

	"derpman/node/internal/disk"
	"derpman/node/internal/protocol"
)

// account is what one relay has sent so far.
type account struct {
	Before     int64     `json:"before"` // all finished starts, less our own probes
	Generation int64     `json:"generation"`
	Restarts   int64     `json:"restarts"` // starts of this generation after its first
	Launched   int64     `json:"launched"` // generation that was last about to start
	StartID    string    `json:"start_id,omitempty"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	Sent       int64     `json:"sent"`
	Received   int64     `json:"received"`
	Probe      int64     `json:"probe"`
	Highest    int64     `json:"highest"` // total never told lower than this
	Stance     string    `json:"stance"`  // that was told last

	readAt time.Time
	rate   int64
}

func (a *account) total() int64 {
	a.Highest = max(a.Highest, a.Before+max(0, a.Sent-a.Probe))
	return a.Highest
}

// Ledger keeps the accounts of all relays on disk.
type Ledger struct {
	path     string
	finished func(protocol.FinishedStart) // told before the ledger forgets the start

	mu       sync.Mutex
	accounts map[int64]*account
	unsaved  bool
	failing  bool // the last save failed, and was told
	saving   sync.Mutex
}

// OpenLedger reads the ledger or begins an empty one. finished must be
// durable when it returns and bear being told the same start twice.
func OpenLedger(path string, finished func(protocol.FinishedStart)) (*Ledger, error) {
	l := &Ledger{path: path, finished: finished, accounts: make(map[int64]*account)}
	_, err := disk.ReadJSON(path, &l.accounts)
	return l, err
}

func (l *Ledger) account(relay int64) *account {
	a := l.accounts[relay]
	if a == nil {
		a = &account{}
		l.accounts[relay] = a
	}
	return a
}

// Launch notes, durably, which generation is about to be started, so that it
// is known for ours should the node end before it has seen it run.
func (l *Ledger) Launch(relay, generation int64) {
	l.mu.Lock()
	a := l.account(relay)
	known := a.Launched == generation
	a.Launched = generation
	l.unsaved = l.unsaved || !known
	l.mu.Unlock()
	if !known {
		l.Save()
	}
}

// Launched is the generation that was last about to be started.
func (l *Ledger) Launched(relay int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[relay]; a != nil {
		return a.Launched
	}
	return 0
}

// Begin notes which start of the relay runs now. A start that ran before it
// and was not seen to end is finished with a gap; its id is the answer.
func (l *Ledger) Begin(relay, generation int64, startID string, startedAt time.Time) (unfinished string) {
	l.mu.Lock()
	a := l.account(relay)
	same := a.StartID == startID
	l.mu.Unlock()
	if same {
		return ""
	}
	unfinished = l.Finish(relay, true)
	l.mu.Lock()
	if a.Generation == generation {
		a.Restarts++
	} else {
		a.Generation, a.Restarts = generation, 0
	}
	a.StartID, a.StartedAt = startID, startedAt
	a.readAt = time.Time{}
	l.unsaved = true
	l.mu.Unlock()
	l.Save() // starts are rare, and how many there were must be right
	return unfinished
}

// Finish closes the account of the running start and answers its id, "" when
// none ran. gap says that bytes relayed after the last reading are not in it.
func (l *Ledger) Finish(relay int64, gap bool) string {
	l.mu.Lock()
	a := l.account(relay)
	start := protocol.FinishedStart{
		Relay: relay, StartID: a.StartID, StartedAt: a.StartedAt, EndedAt: protocol.Now(),
		SentBytes: a.Sent, ReceivedBytes: a.Received, ProbeBytes: a.Probe, Gap: gap,
	}
	l.mu.Unlock()
	if start.StartID == "" {
		return ""
	}
	l.finished(start)
	l.mu.Lock()
	defer l.mu.Unlock()
	a.Before += max(0, a.Sent-a.Probe)
	a.StartID, a.StartedAt, a.rate = "", time.Time{}, 0
	a.Sent, a.Received, a.Probe = 0, 0, 0
	l.unsaved = true
	return start.StartID
}

// Running is the id of the start that runs, as far as the ledger knows.
func (l *Ledger) Running(relay int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[relay]; a != nil {
		return a.StartID
	}
	return ""
}

// Note enters a reading and says whether bytes have flowed since the last one.
func (l *Ledger) Note(relay int64, startID string, reading Reading, at time.Time) (flowed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(relay)
	if a.StartID != startID || reading.Sent < a.Sent {
		return false // of another process: never mixed up
	}
	flowed = reading.Sent != a.Sent || reading.Received != a.Received
	if !a.readAt.IsZero() && at.After(a.readAt) {
		a.rate = int64(float64(reading.Sent-a.Sent) / at.Sub(a.readAt).Seconds())
	}
	a.readAt = at
	if flowed {
		a.Sent, a.Received = reading.Sent, reading.Received
		l.unsaved = true
	}
	return flowed
}

// Probed enters bytes that our own check had the relay send.
func (l *Ledger) Probed(relay int64, startID string, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.account(relay); a.StartID == startID {
		a.Probe += bytes
		l.unsaved = true
	}
}

// Mark keeps a word on where the relay stands and answers the one before it,
// so that a turn is told once, also over restarts of the node.
func (l *Ledger) Mark(relay int64, stance string) (before string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(relay)
	before, a.Stance = a.Stance, stance
	l.unsaved = l.unsaved || before != stance
	return before
}

// Total is what the relay sent over all starts, less our own probes.
func (l *Ledger) Total(relay int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account(relay).total()
}

// Pace is the total and how many bytes a second were sent lately.
func (l *Ledger) Pace(relay int64) (total, rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(relay)
	return a.total(), a.rate
}

// Report fills the counters of a relay's status.
func (l *Ledger) Report(relay int64, status *protocol.RelayStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(relay)
	status.Restarts = a.Restarts
	status.SentBytes, status.ReceivedBytes, status.ProbeBytes = a.Sent, a.Received, a.Probe
	status.TotalSentBytes = a.total()
	status.RateBytesPerSecond = a.rate
	if a.StartID != "" {
		startID, startedAt := a.StartID, a.StartedAt
		status.StartID, status.StartedAt = &startID, &startedAt
	}
}

// Forget drops the account of a relay that is gone from this server.
func (l *Ledger) Forget(relay int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.accounts, relay)
	l.unsaved = true
}

// Knows says whether the relay has an account.
func (l *Ledger) Knows(relay int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accounts[relay] != nil
}

// Known lists the relays with an account.
func (l *Ledger) Known() []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	relays := make([]int64, 0, len(l.accounts))
	for relay := range l.accounts {
		relays = append(relays, relay)
	}
	return relays
}

// Save writes the ledger if anything in it has changed.
func (l *Ledger) Save() {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	if !l.unsaved {
		l.mu.Unlock()
		return
	}
	copied := make(map[int64]account, len(l.accounts))
	for relay, a := range l.accounts {
		a.total() // the highest total told is kept too
		copied[relay] = *a
	}
	l.unsaved = false
	l.mu.Unlock()
	err := disk.ReplaceJSON(l.path, copied)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && !l.failing {
		slog.Error("counters not saved", "error", err)
	}
	l.failing = err != nil
	l.unsaved = l.unsaved || l.failing
}
