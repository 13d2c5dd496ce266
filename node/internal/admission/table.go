// Package admission answers the relays' question whether a device may
// connect. It is asked on loopback, once per connection, and knows the answer
// without asking anyone.
package admission

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"tailscale.com/types/key"
)

// Rules say who may use one relay, and until when.
type Rules struct {
	Expires time.Time // zero: never
	Devices map[key.NodePublic]time.Time
}

// allows says whether the device may connect, and until when (zero: no end in sight).
func (r *Rules) allows(device key.NodePublic, now time.Time) (bool, time.Time) {
	notAfter, listed := r.Devices[device]
	if !listed {
		return false, time.Time{}
	}
	until := notAfter
	if until.IsZero() || (!r.Expires.IsZero() && r.Expires.Before(until)) {
		until = r.Expires
	}
	return until.IsZero() || now.Before(until), until
}

// Door is one relay's place in the table.
type Door struct {
	relay int64
	token string
	rules atomic.Pointer[Rules]
	open  atomic.Bool

	mu        sync.Mutex
	strangers map[key.NodePublic]bool // our own test keys; true once asked about
}

// Set puts rules in force for every connection from now on.
func (d *Door) Set(rules *Rules) { d.rules.Store(rules) }

// Open lets listed devices in; Shut refuses everyone.
func (d *Door) Open() { d.open.Store(true) }

// Shut refuses everyone until Open.
func (d *Door) Shut() { d.open.Store(false) }

// Allows says whether a device may be connected now, and until when.
func (d *Door) Allows(device key.NodePublic, now time.Time) (bool, time.Time) {
	if !d.open.Load() {
		return false, time.Time{}
	}
	return d.rules.Load().allows(device, now)
}

// Expect announces a test key of our own: it is refused like any stranger and
// is no knock. Asked says whether the relay came to ask; it ends the expectation.
func (d *Door) Expect(stranger key.NodePublic) (asked func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.strangers[stranger] = false
	return func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		asked := d.strangers[stranger]
		delete(d.strangers, stranger)
		return asked
	}
}

// expected notes that the relay asked about one of our test keys.
func (d *Door) expected(device key.NodePublic) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ours := d.strangers[device]; !ours {
		return false
	}
	d.strangers[device] = true
	return true
}

// Table holds the doors of all relays.
type Table struct {
	secret []byte
	doors  sync.Map // relay id -> *Door

	admitted, refused atomic.Int64
}

// Answers is how many connections were let in, and how many were not, since
// the table was made; our own checks with keys nobody knows are left out.
func (t *Table) Answers() (admitted, refused int64) { return t.admitted.Load(), t.refused.Load() }

// NewTable makes an empty table; the secret makes each relay's address unguessable.
func NewTable(secret []byte) *Table { return &Table{secret: secret} }

// Door gives the relay's door, made shut and with nobody listed at first.
func (t *Table) Door(relay int64) *Door {
	if door, ok := t.doors.Load(relay); ok {
		return door.(*Door)
	}
	door := &Door{relay: relay, token: t.token(relay), strangers: make(map[key.NodePublic]bool)}
	door.rules.Store(&Rules{})
	kept, _ := t.doors.LoadOrStore(relay, door)
	return kept.(*Door)
}

// Remove forgets a relay; who still asks for it is refused.
func (t *Table) Remove(relay int64) { t.doors.Delete(relay) }

// Path is where the relay asks. It holds over restarts of the node, as
// running relays have it on their command line.
func (t *Table) Path(relay int64) string { return fmt.Sprintf("/admit/%d/%s", relay, t.token(relay)) }

func (t *Table) token(relay int64) string {
	mac := hmac.New(sha256.New, t.secret)
	fmt.Fprintf(mac, "admit %d", relay)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
