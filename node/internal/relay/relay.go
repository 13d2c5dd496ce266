// Package relay makes one customer's relay be what is wanted, and keeps it so.
package relay

import (
	"context"
	"sync"
	"time"

	"tailscale.com/types/key"

	"derpman/node/internal/admission"
	"derpman/node/internal/journal"
	"derpman/node/internal/metering"
	"derpman/node/internal/protocol"
	"derpman/node/internal/runtime"
)

// Surroundings is what relays share on one node.
type Surroundings struct {
	Runtime   runtime.Runtime
	Admission *admission.Table
	AdmitAt   string // URL to which a relay's admission path is appended
	Journal   *journal.Journal
	Ledger    *metering.Ledger
	Folder    string        // holds one folder per relay
	Slots     chan struct{} // bounds starts and stops side by side
	Looks     chan struct{} // bounds full checks side by side
	StopLast  bool          // relays end with the node when it is told to end
	Changed   func(relay int64)
	// Gone is asked when nothing of an unwanted relay is left. It answers
	// false when the relay has been wanted again meanwhile.
	Gone func(r *Relay) bool
}

// Relay is one relay of this server. Its own goroutine is the only one that
// starts and stops it; everyone else writes wishes and wakes it.
type Relay struct {
	ID      int64
	foreign bool // never wanted as far as anyone knows
	env     *Surroundings
	door    *admission.Door
	wake    chan struct{}

	mu      sync.Mutex
	wanted  *protocol.Relay // nil: to be removed
	state   protocol.State
	reason  string
	checks  *protocol.Checks
	session *session
	stance  stance // what the goroutine last acted upon
	remake  string // label of the image it is to be made anew from

	// Of the relay's goroutine alone.
	failures  int       // starts in a row that did not last
	notBefore time.Time // of the next start
	lostAt    time.Time // when the process ended by itself
}

// New makes a relay that Run brings to life. nil is for one that is found on
// the server though nobody wants it any more.
func New(id int64, wanted *protocol.Relay, env *Surroundings) *Relay {
	r := &Relay{
		ID: id, env: env, door: env.Admission.Door(id),
		wake: make(chan struct{}, 1), state: protocol.Starting,
		foreign: wanted == nil && !env.Ledger.Knows(id),
	}
	r.Want(wanted)
	return r
}

// Want changes what is wanted; nil removes the relay. When it returns, nobody
// who is not allowed any more can connect; those connected are cut off right after.
func (r *Relay) Want(wanted *protocol.Relay) {
	r.door.Set(rulesOf(wanted))
	r.mu.Lock()
	r.wanted = wanted
	if !r.stand(time.Now()).run {
		r.door.Shut()
	}
	session := r.session
	r.mu.Unlock()
	if session != nil {
		session.watcher.Enforce()
	}
	r.Wake()
}

// Compare wakes the relay unless what was found is exactly what it follows.
func (r *Relay) Compare(found []runtime.Instance) {
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	if session != nil && len(found) == 1 && found[0].Handle == session.instance.Handle && found[0].Condition == runtime.Running {
		return
	}
	r.Wake()
}

// Remake has the relay made anew from the image with the label, unless it runs on that.
func (r *Relay) Remake(label string) {
	r.mu.Lock()
	r.remake = label
	r.mu.Unlock()
	r.Wake()
}

// asked is the label that Remake named and that the relay was not yet made from.
func (r *Relay) asked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remake
}

// answered: the relay was made anew as it was asked then, whatever became of it. What was asked
// for since, while it was being made, still stands.
func (r *Relay) answered(asked string) {
	r.mu.Lock()
	if r.remake == asked {
		r.remake = ""
	}
	r.mu.Unlock()
}

// Wanted is what Want last said.
func (r *Relay) Wanted() *protocol.Relay {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted
}

// Wake makes the relay compare what is with what is wanted.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func rulesOf(wanted *protocol.Relay) *admission.Rules {
	rules := &admission.Rules{}
	if wanted == nil {
		return rules
	}
	if wanted.ExpiresAt != nil {
		rules.Expires = *wanted.ExpiresAt
	}
	rules.Devices = make(map[key.NodePublic]time.Time, len(wanted.Devices))
	for _, device := range wanted.Devices {
		public, err := protocol.ParseNodeKey(device.Key)
		if err != nil {
			continue // an apply is validated before it gets here
		}
		var notAfter time.Time
		if device.NotAfter != nil {
			notAfter = *device.NotAfter
		}
		rules.Devices[public] = notAfter
	}
	return rules
}

const removing = "removing"

// stance is what time and counters make of the wish.
type stance struct {
	run       bool
	reason    string // why not
	throttled bool
	rate      int64 // bytes per second and device, 0 for none
}

// stand works out the stance; r.mu is held.
func (r *Relay) stand(now time.Time) stance {
	w := r.wanted
	switch {
	case w == nil:
		return stance{reason: removing}
	case !w.Running:
		return stance{reason: "not_wanted"}
	case w.ExpiresAt != nil && !now.Before(*w.ExpiresAt):
		return stance{reason: "expired"}
	}
	s := stance{run: true, rate: w.RateBytesPerSecond}
	if w.Quota == nil || r.env.Ledger.Total(r.ID) < w.Quota.LimitBytes {
		return s
	}
	if w.Quota.AtLimit == protocol.AtLimitStop {
		return stance{reason: "quota"}
	}
	s.throttled = true
	if s.rate == 0 || w.Quota.ThrottleBytesPerSecond < s.rate {
		s.rate = w.Quota.ThrottleBytesPerSecond
	}
	return s
}

// reconsider wakes the relay when counters have changed its stance.
func (r *Relay) reconsider() {
	r.mu.Lock()
	moved := r.stand(time.Now()) != r.stance
	near := r.nearQuota()
	r.mu.Unlock()
	if moved {
		r.Wake()
	}
	if near {
		r.env.Changed(r.ID) // the panel shares out anew what other relays have left
	}
}

// nearQuota says whether the relay will soon be at its limit at its present
// speed; r.mu is held.
func (r *Relay) nearQuota() bool {
	if r.wanted == nil || r.wanted.Quota == nil {
		return false
	}
	total, rate := r.env.Ledger.Pace(r.ID)
	left := r.wanted.Quota.LimitBytes - total
	return left > 0 && left < rate*int64(soon/time.Second)
}

// soon is a few heartbeats: time for the panel to hear of it and to answer.
const soon = 15 * time.Second

// Run keeps the relay as wanted until it is gone or the context ends. A
// relay outlives the node, unless StopLast says otherwise.
func (r *Relay) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next, gone := r.step(ctx)
		if gone {
			break
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	switch {
	case session == nil:
	case r.env.StopLast:
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		r.end(last, session)
	default:
		session.close()
	}
}

// set notes where the relay stands and tells those who watch.
func (r *Relay) set(state protocol.State, reason string) (changed bool) {
	r.mu.Lock()
	same := r.state == state && r.reason == reason
	r.state, r.reason = state, reason
	r.mu.Unlock()
	if !same {
		r.env.Changed(r.ID)
	}
	return !same
}

// Status is what the panel is told.
func (r *Relay) Status() protocol.RelayStatus {
	r.mu.Lock()
	status := protocol.RelayStatus{
		ID: r.ID, State: r.state, Throttled: r.stance.throttled, Checks: r.checks,
		Presence: []protocol.Present{},
	}
	if r.reason != "" {
		reason := r.reason
		status.Reason = &reason
	}
	if r.wanted != nil {
		status.Generation = r.wanted.Generation
	}
	session := r.session
	r.mu.Unlock()
	r.env.Ledger.Report(r.ID, &status)
	if session != nil {
		status.Generation = session.instance.Generation
		if label := session.instance.Label; label != "" {
			status.Label = &label
		}
		status.Presence = session.watcher.Present()
	}
	status.Connections = len(status.Presence)
	return status
}
